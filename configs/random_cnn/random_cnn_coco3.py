"""Random CNN, which is IIC untrained, on COCO-Stuff3 (Table 1: 37.3 %)."""

from mmengine.config import read_base

from sgseg.engine import UntrainedLoop

with read_base():
    from ..iic.iic_coco3 import *  # noqa: F403

train_cfg = dict(type=UntrainedLoop, max_epochs=1, val_interval=1)
default_hooks.pop("stage")  # no heads take turns without steps
