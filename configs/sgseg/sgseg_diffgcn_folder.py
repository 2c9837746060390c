"""The practical recipe on any folder of images:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.sgseg_practical import *  # noqa: F403
    from .._base_.schedules.head_first import *  # noqa: F403

model.decode_head.num_classes = 4
