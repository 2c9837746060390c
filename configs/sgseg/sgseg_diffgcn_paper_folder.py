"""The paper's recipe on any folder of images, at the practical recipe's width, length and rates."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.sgseg_narrow import *  # noqa: F403
    from .._base_.schedules.practical_joint import *  # noqa: F403

model.decode_head.num_classes = 4
