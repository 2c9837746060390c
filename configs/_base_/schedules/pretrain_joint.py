"""The paper's schedule: 10 epochs of superpixels, then 10 end to end (Table 2, last row)."""

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from torch.optim import Adam

from sgseg.engine import ModuleLRConstructor, TrainingStageHook

train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=20, val_interval=1, val_begin=11)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)

# The rates of Table 12 differ by data set and stand in the data sets' configs.
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=Adam, betas=(0.9, 0.999), weight_decay=0.0, fused="auto"),
    constructor=ModuleLRConstructor,
    paramwise_cfg=dict(lr=dict()),
)
param_scheduler = None

stage_hook = dict(type=TrainingStageHook, stages=[(0, "superpixel"), (10, "joint")])
