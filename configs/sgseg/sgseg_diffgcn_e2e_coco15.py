"""End to end from the first epoch, no pre-training (Table 2: 36.6 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

default_hooks.stage.stages = [(0, "joint")]
train_cfg.merge(dict(max_epochs=10, val_begin=1))
