"""AC at the widths of the practical recipe on any folder of images:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

from sgseg.engine import SetStatisticsHook

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.ac_practical import *  # noqa: F403
    from .._base_.schedules.falling import *  # noqa: F403

model.decode_head.num_classes = 4
default_hooks.statistics = dict(type=SetStatisticsHook)
optim_wrapper.paramwise_cfg.lr = dict(decode_head=2e-3)
