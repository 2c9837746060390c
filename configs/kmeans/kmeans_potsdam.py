"""K-Means on colours on Potsdam, RGBIR, 6 classes (Table 1: 35.3 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.data_preprocessor.bands = 4
model.decode_head.num_classes = 6
