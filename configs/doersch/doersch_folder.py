"""Doersch on any folder of images:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.cluster_features import *  # noqa: F403

model.backbone.base_channels = 8
model.decode_head.num_classes = 4
default_hooks.clustering.pixels = 100_000
