"""Adam as in the papers; a config states the rate of every part of its model."""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from torch.optim import Adam

from sgseg.engine import ModuleLRConstructor

with read_base():
    from ..default_runtime import *  # noqa: F403

train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=20, val_interval=1)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=Adam, betas=(0.9, 0.999), weight_decay=0.0, fused="auto"),
    constructor=ModuleLRConstructor,
    paramwise_cfg=dict(lr=dict()),
)
param_scheduler = None
