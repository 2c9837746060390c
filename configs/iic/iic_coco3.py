"""IIC on COCO-Stuff3 (Table 1: 72.3 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.iic import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

model.decode_head.num_classes = 3
model.overclustering = 5
model.losses.decode_head.balance = 1.5
total_batch_size = 120
train_dataloader.dataset.transforms.pop(-2)  # only the second view is mirrored
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
train_cfg.max_epochs = 220
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-4, auxiliary_head=1e-4, decode_head=1e-4)
