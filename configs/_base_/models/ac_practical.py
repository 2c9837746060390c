"""AC with the widths, displacements and views of SGSeg's practical recipe: what that recipe gives
without superpixels and graph."""

from mmengine.config import read_base

from sgseg.models import PhotometricViews

with read_base():
    from .ac import *  # noqa: F403

model.merge(
    dict(
        data_preprocessor=dict(standardise="set"),  # one scale for all images
        decode_head=dict(base_channels=16, multipliers=(2, 2, 2, 2)),
        losses=dict(mutual_information=dict(half_window=6, balance=1.5)),
        views=dict(type=PhotometricViews, contrast=0.3, brightness=0.3, band_gain=0.1, cells=4),
        predict_orders=(1, 2, 3, 4, 5, 6, 7, 8),
    )
)
