"""The practical recipe on COCO-Stuff with 15 classes."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.sgseg_practical import *  # noqa: F403
    from .._base_.schedules.practical import *  # noqa: F403

model.decode_head.num_classes = 15
