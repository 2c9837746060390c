"""InfoSeg on COCO-Stuff with 15 classes (Table 1: 38.8 %): reconstruction from the description."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.infoseg import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.decode_head.num_classes = 15
total_batch_size = 64
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-4, decode_head=1e-4)
