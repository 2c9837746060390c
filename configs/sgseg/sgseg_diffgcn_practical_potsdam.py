"""The practical recipe on Potsdam, RGBIR, 6 classes."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.models.sgseg_practical import *  # noqa: F403
    from .._base_.schedules.practical import *  # noqa: F403

model.data_preprocessor.bands = 4
model.backbone.num_superpixels = 16  # half, as the paper's 100 of 200
model.decode_head.num_classes = 6
