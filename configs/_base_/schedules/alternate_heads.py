"""IIC: an epoch with the over-clustering head, then one with the head that is scored.

IIC counts both as one epoch; `max_epochs` counts them apart.
"""

from mmengine.config import read_base

from sgseg.engine import AlternatingStageHook

with read_base():
    from .adam import *  # noqa: F403

train_cfg.merge(dict(max_epochs=60, val_interval=2))
default_hooks.stage = dict(type=AlternatingStageHook, stages=["auxiliary_head", "decode_head"])
