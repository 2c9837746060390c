"""The paper on COCO-Stuff3, N = 100 (Table 1: 74.6 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3 import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

model.backbone.num_superpixels = 100
model.decode_head.num_classes = 3
# Table 12.
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-5, neck=5e-4, decode_head=5e-5)
