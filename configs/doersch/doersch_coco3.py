"""Doersch on COCO-Stuff3 (Table 1: 47.5 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.decode_head.num_classes = 3
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
total_batch_size = 60
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, clustering_hook]
