"""InfoSeg on Potsdam3, RGBIR, 3 classes (Table 1: 71.6 %): reconstruction from the description."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.infoseg import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.data_preprocessor.bands = 4
model.decode_head.num_classes = 3
model.views.merge(dict(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1))
total_batch_size = 64
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-4, decode_head=1e-4)
