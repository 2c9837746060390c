"""Isola on Potsdam, RGBIR, 6 classes (Table 1: 44.9 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.isola import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.merge(
    dict(
        data_preprocessor=dict(bands=4),
        backbone=dict(in_channels=4, sobel=False),
        decode_head=dict(num_classes=6),
    )
)
total_batch_size = 60
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, clustering_hook]
