"""AC on COCO-Stuff with 15 classes (Table 1: 30.8 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

total_batch_size = 30
optim_wrapper.paramwise_cfg.lr = dict(decode_head=6e-6)
