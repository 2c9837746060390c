"""The paper on Potsdam3, RGBIR, 3 classes, N = 100 (Table 1: 71.8 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_potsdam import *  # noqa: F403
with read_base():  # in the place of the other's data
    from .._base_.datasets.potsdam3 import *  # noqa: F403

model.decode_head.num_classes = 3
optim_wrapper.paramwise_cfg.lr = dict(backbone=5e-5, neck=5e-4, decode_head=5e-6)  # Table 12
