"""The paper's recipe, literal, on any folder at the practical recipe's width, length and rates:
what the departures of the practical recipe are compared with."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.practical import *  # noqa: F403

model.merge(
    dict(
        backbone=dict(num_superpixels=32, base_channels=4),
        neck=dict(in_channels=2 + 3 + 8 * 4, channels=16),
        decode_head=dict(in_channels=3 + 16, num_classes=4, base_channels=16),
    )
)
stage_hook.merge(dict(stages=[(0, "superpixel"), (2, "joint")]))
predict_side = 96
custom_hooks = [*custom_hooks, stage_hook]
preset_reference = dict(num_superpixels=32, knn=20)
