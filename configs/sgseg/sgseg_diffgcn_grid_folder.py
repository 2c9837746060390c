"""A regular grid in the place of SPNN on any folder of images."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_slic_folder import *  # noqa: F403

model.backbone.method = "grid"
