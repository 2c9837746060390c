"""No training: one empty epoch, then the usual evaluation and checkpoint."""

from mmengine.config import read_base

from sgseg.engine import UntrainedLoop

with read_base():
    from .adam import *  # noqa: F403

train_cfg = dict(type=UntrainedLoop, max_epochs=1, val_interval=1)
