"""AC on mosaics of real textures, with the widths, displacements and views of SGSeg's practical recipe:
what that recipe gives without superpixels and graph."""

from mmengine.config import read_base

from sgseg.models import PhotometricViews

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.ac import *  # noqa: F403
    from .._base_.schedules.falling import *  # noqa: F403

model.merge(
    dict(
        decode_head=dict(num_classes=3, base_channels=16, multipliers=(2, 2, 2, 2)),
        losses=dict(mutual_information=dict(half_window=6, balance=1.5)),
        views=dict(type=PhotometricViews, contrast=0.6, brightness=0.6, band_gain=0.1, cells=4),
        predict_orders=(1, 2, 3, 4, 5, 6, 7, 8),
    )
)
# Light is a nuisance here by construction.
model.data_preprocessor.standardise = "image"
learning_rates = dict(decode_head=2e-3)
optim_wrapper.merge(dict(paramwise_cfg=dict(lr=learning_rates)))
