"""The full model of the practical recipe on any folder of images, node features in from the start:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.sgseg_practical import *  # noqa: F403
    from .._base_.schedules.practical import *  # noqa: F403

model.decode_head.num_classes = 4
