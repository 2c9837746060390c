"""K-Means on colours on Potsdam3, RGBIR, 3 classes (Table 1: 45.7 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.merge(dict(data_preprocessor=dict(bands=4), decode_head=dict(in_channels=4, num_classes=3)))
learning_rates = dict(decode_head=0.0)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, clustering_hook]
