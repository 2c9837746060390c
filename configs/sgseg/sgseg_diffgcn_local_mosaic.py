"""LocalSPNN in the place of SPNN on mosaics of real textures; the rest as in sgseg_diffgcn_mosaic."""

from mmengine.config import read_base

from sgseg.models import LocalSPNN

with read_base():
    from .sgseg_diffgcn_mosaic import *  # noqa: F403

model.backbone = dict(type=LocalSPNN, num_superpixels=32, base_channels=4)
model.roll_coordinates = False  # its features see none
