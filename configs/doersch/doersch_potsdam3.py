"""Doersch on Potsdam3, RGBIR, 3 classes (Table 1: 49.6 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.cluster_features import *  # noqa: F403

model.data_preprocessor.bands = 4
model.backbone.sobel = False
model.decode_head.num_classes = 3
total_batch_size = 60
