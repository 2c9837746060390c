"""The paper on Potsdam3, RGBIR, 3 classes, N = 100 (Table 1: 71.8 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.sgseg_potsdam import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

model.decode_head.num_classes = 3
# Table 12.
optim_wrapper.paramwise_cfg.lr = dict(backbone=5e-5, neck=5e-4, decode_head=5e-6)
