"""IIC: an epoch with the over-clustering head, then one with the head that is scored.

IIC counts both as one epoch; `max_epochs` counts them apart.
"""

from mmengine.config import read_base

from sgseg.engine import TrainingStageHook

with read_base():
    from .adam import *  # noqa: F403

train_cfg.merge(dict(max_epochs=60, val_interval=2))
stage_hook = dict(
    type=TrainingStageHook, stages=[(0, "auxiliary_head"), (1, "decode_head")], period=2
)
