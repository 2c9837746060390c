"""One epoch of superpixels, then ten end to end with a falling rate."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR

with read_base():
    from .pretrain_joint import *  # noqa: F403

train_cfg.merge(dict(max_epochs=11, val_interval=11, val_begin=1))
param_scheduler = [
    dict(
        type=CosineAnnealingLR,
        begin=1,
        end=11,
        T_max=10,
        eta_min_ratio=0.02,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
learning_rates = dict(backbone=1e-3, neck=1e-3, decode_head=2e-3, fusion=2e-3)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
stage_hook.merge(dict(stages=[(0, "superpixel"), (1, "joint")]))
