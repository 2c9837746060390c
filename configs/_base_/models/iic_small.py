"""IIC with an eighth of the trunk's width and the heads of its published three-class runs."""

from mmengine.config import read_base

with read_base():
    from .iic import *  # noqa: F403

model.backbone.base_channels = 8
model.overclustering = 5
model.losses.decode_head.balance = 1.5
