"""AC on Potsdam, RGBIR, 6 classes (Table 1: 49.3 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.merge(dict(data_preprocessor=dict(bands=4), decode_head=dict(in_channels=4, num_classes=6)))
total_batch_size = 20
learning_rates = dict(decode_head=1e-6)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
