"""IIC on COCO-Stuff with 15 classes (Table 1: 27.7 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.iic import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

total_batch_size = 60
train_dataloader.dataset.transforms.pop(-2)  # only the second view is mirrored
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-4, auxiliary_head=1e-4, decode_head=1e-4)
