"""AC on Potsdam3, RGBIR, 3 classes (Table 1: 66.5 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.data_preprocessor.bands = 4
model.decode_head.num_classes = 3
total_batch_size = 20
optim_wrapper.paramwise_cfg.lr = dict(decode_head=1e-6)
