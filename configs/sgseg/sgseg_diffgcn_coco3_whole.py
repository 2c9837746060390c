"""The paper's model for COCO-Stuff3, N = 100, on whole images squeezed to 128 x 128."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco3_whole import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

model.merge(dict(backbone=dict(num_superpixels=100), decode_head=dict(num_classes=3)))
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
custom_hooks = [*custom_hooks, stage_hook]
