"""The paper on Potsdam, RGBIR, 6 classes, N = 100 (Table 1: 57.7 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

model.merge(
    dict(
        data_preprocessor=dict(bands=4),
        backbone=dict(in_channels=4, num_superpixels=100),
        neck=dict(in_channels=2 + 4 + 512),
        decode_head=dict(in_channels=4 + 64, image_channels=4, num_classes=6),
        losses=dict(smoothness=dict(weight=1.0), edge=dict(weight=0.5)),  # Table 12
    )
)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, stage_hook]
