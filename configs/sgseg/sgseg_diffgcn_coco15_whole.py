"""The main model on whole COCO-Stuff images, squeezed to 128 x 128."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco15_whole import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

# Table 12.
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-5, neck=5e-4, decode_head=5e-6)
