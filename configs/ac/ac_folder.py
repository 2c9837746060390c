"""AC on any folder of images, with the widths, displacements and views of SGSeg's practical recipe:
what that recipe gives without superpixels and graph."""

from mmengine.config import read_base

from sgseg.engine import SetStatisticsHook
from sgseg.models import PhotometricViews

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.falling import *  # noqa: F403

model.merge(
    dict(
        decode_head=dict(num_classes=4, base_channels=16, multipliers=(2, 2, 2, 2)),
        losses=dict(mutual_information=dict(half_window=6, balance=1.5)),
        views=dict(type=PhotometricViews, contrast=0.3, brightness=0.3, band_gain=0.1, cells=4),
        predict_orders=(1, 2, 3, 4, 5, 6, 7, 8),
    )
)
# One scale for all images.
model.data_preprocessor.standardise = "set"
learning_rates = dict(decode_head=2e-3)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
statistics_hook = dict(type=SetStatisticsHook)
custom_hooks = [*custom_hooks, statistics_hook]
predict_side = 96
