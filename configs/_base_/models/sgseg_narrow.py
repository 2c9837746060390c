"""SGSeg as the paper prints it at the width and N of the practical recipe: what the departures of
that recipe are compared with."""

from mmengine.config import read_base

with read_base():
    from .sgseg import *  # noqa: F403

model.merge(
    dict(
        backbone=dict(num_superpixels=32, base_channels=4),
        neck=dict(channels=16),
        decode_head=dict(base_channels=16),
    )
)
preset_reference = dict(num_superpixels=32, knn=20)
