"""K-Means on colours on mosaics of real textures."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.decode_head.num_classes = 3
