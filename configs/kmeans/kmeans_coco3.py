"""K-Means on colours on COCO-Stuff3 (Table 1: 52.2 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.decode_head.num_classes = 3
# Scored pixels only, as published: loss_mask="all" takes every pixel.
train_dataloader.dataset.transforms[-1].loss_mask = "labelled"
