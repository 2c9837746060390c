"""The main model of the paper on COCO-Stuff with 15 classes (Table 1: 39.4 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, stage_hook]
