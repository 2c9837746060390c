"""InfoSeg on mosaics of real textures: reconstruction from the description."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.models.infoseg import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.backbone.base_channels = 8
model.decode_head.num_classes = 3
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-3, decode_head=1e-3)
