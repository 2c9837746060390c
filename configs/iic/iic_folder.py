"""IIC on any folder of images, with the heads of its published three-class runs:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.iic import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

model.merge(
    dict(
        backbone=dict(base_channels=8),
        decode_head=dict(num_classes=4),
        overclustering=5,
        losses=dict(decode_head=dict(balance=1.5)),
    )
)
train_cfg.merge(dict(max_epochs=20))
learning_rates = dict(backbone=1e-3, auxiliary_head=1e-3, decode_head=1e-3)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, turns_hook]
predict_side = 96
