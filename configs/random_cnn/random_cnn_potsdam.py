"""Random CNN, which is IIC untrained, on Potsdam, RGBIR, 6 classes (Table 1: 28.3 %)."""

from mmengine.config import read_base

from sgseg.engine import UntrainedLoop

with read_base():
    from ..iic.iic_potsdam import *  # noqa: F403

train_cfg = dict(type=UntrainedLoop, max_epochs=1, val_interval=1)
param_scheduler = None
# Without steps no heads take turns; IIC's hook is the last one.
custom_hooks = custom_hooks[:-1]
