"""Doersch on COCO-Stuff3 (Table 1: 47.5 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.cluster_features import *  # noqa: F403

model.decode_head.num_classes = 3
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
total_batch_size = 60
