"""The practical recipe on COCO-Stuff3."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.sgseg_practical import *  # noqa: F403
    from .._base_.schedules.practical import *  # noqa: F403

model.backbone.num_superpixels = 16  # half, as the paper's 100 of 200
model.decode_head.num_classes = 3
