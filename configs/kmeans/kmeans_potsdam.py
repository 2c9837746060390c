"""K-Means on colours on Potsdam, RGBIR, 6 classes (Table 1: 35.3 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.merge(dict(data_preprocessor=dict(bands=4), decode_head=dict(in_channels=4, num_classes=6)))
learning_rates = dict(decode_head=0.0)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, clustering_hook]
