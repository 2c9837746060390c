"""Twenty epochs with rates that fall by a cosine, for sets of some hundred images.

For another length set `train_cfg.max_epochs` alone: the rates fall towards whatever it is.
"""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR

with read_base():
    from .adam import *  # noqa: F403

train_cfg.merge(dict(max_epochs=20, val_interval=10))
param_scheduler = [
    dict(type=CosineAnnealingLR, eta_min_ratio=0.02, by_epoch=True, convert_to_iter_based=True)
]
