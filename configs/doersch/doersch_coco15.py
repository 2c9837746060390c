"""Doersch on COCO-Stuff with 15 classes (Table 1: 23.1 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.cluster_features import *  # noqa: F403

model.decode_head.num_classes = 15
# Labels reach the loss as a mask, as published: loss_mask="all" ends that.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
total_batch_size = 60
