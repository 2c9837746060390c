"""K-Means on colours on Potsdam3, RGBIR, 3 classes (Table 1: 45.7 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.data_preprocessor.bands = 4
model.decode_head.num_classes = 3
