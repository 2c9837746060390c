"""Isola on mosaics of real textures."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.models.isola import *  # noqa: F403
    from .._base_.schedules.cluster_features import *  # noqa: F403

model.backbone.base_channels = 8
model.decode_head.num_classes = 3
default_hooks.clustering.pixels = 100_000
