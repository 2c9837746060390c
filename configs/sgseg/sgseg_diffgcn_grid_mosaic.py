"""A regular grid in the place of SPNN on the mosaics."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_slic_mosaic import *  # noqa: F403

model.backbone.method = "grid"
