"""AC on COCO-Stuff3 (Table 1: 72.9 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.decode_head.num_classes = 3
total_batch_size = 30
optim_wrapper.paramwise_cfg.lr = dict(decode_head=4e-5)
