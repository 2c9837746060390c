"""Random CNN, which is IIC untrained, on Potsdam3, RGBIR, 3 classes (Table 1: 38.2 %)."""

from mmengine.config import read_base

from sgseg.engine import UntrainedLoop

with read_base():
    from ..iic.iic_potsdam3 import *  # noqa: F403

train_cfg = dict(type=UntrainedLoop, max_epochs=1, val_interval=1)
default_hooks.pop("stage")  # no heads take turns without steps
