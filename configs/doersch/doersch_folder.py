"""Doersch on any folder of images:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.doersch import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.merge(dict(backbone=dict(base_channels=8), decode_head=dict(num_classes=4)))
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
clustering_hook.merge(dict(pixels=100_000))
custom_hooks = [*custom_hooks, clustering_hook]
predict_side = 96
