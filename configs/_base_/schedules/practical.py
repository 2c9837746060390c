"""Two epochs of superpixels, then 32 of segmentation with a falling rate (Table 2, disjoint).

For another length set ``train_cfg.max_epochs`` alone: the rates fall towards whatever it is.
"""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR

from sgseg.engine import SetStatisticsHook

with read_base():
    from .pretrain_joint import *  # noqa: F403

train_cfg.merge(dict(max_epochs=34, val_interval=17, val_begin=3))
param_scheduler = [
    dict(
        type=CosineAnnealingLR,
        begin=2,
        eta_min_ratio=0.02,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
optim_wrapper.paramwise_cfg.lr = dict(backbone=5e-3, neck=1e-3, decode_head=2e-3, fusion=2e-3)
default_hooks.stage.stages = [(0, "superpixel"), (2, "segmentation")]
default_hooks.statistics = dict(type=SetStatisticsHook)
