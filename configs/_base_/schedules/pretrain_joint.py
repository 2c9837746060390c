"""The paper's schedule: 10 epochs of superpixels, then 10 end to end (Table 2, last row).

The rates, Table 12's, differ by data set and stand in the configs.
"""

from mmengine.config import read_base

from sgseg.engine import TrainingStageHook

with read_base():
    from .adam import *  # noqa: F403

train_cfg.merge(dict(max_epochs=20, val_begin=11))
default_hooks.stage = dict(type=TrainingStageHook, stages=[(0, "superpixel"), (10, "joint")])
