"""IIC on mosaics of real textures."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.models.iic_small import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

model.decode_head.num_classes = 3
train_cfg.max_epochs = 20
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-3, auxiliary_head=1e-3, decode_head=1e-3)
