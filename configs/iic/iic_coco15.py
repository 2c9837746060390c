"""IIC on COCO-Stuff with 15 classes (Table 1: 27.7 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.iic import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

model.merge(dict(decode_head=dict(num_classes=15), overclustering=3))
total_batch_size = 60
# Only the second view is mirrored.
train_dataloader.dataset.transforms.pop(-2)
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
train_cfg.merge(dict(max_epochs=60))
learning_rates = dict(backbone=1e-4, auxiliary_head=1e-4, decode_head=1e-4)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, turns_hook]
