"""SLIC in the place of SPNN on any folder of images: nothing to pre-train, the rest as in
sgseg_diffgcn_folder."""

from mmengine.config import read_base

from sgseg.models import FixedSuperpixels

with read_base():
    from .sgseg_diffgcn_folder import *  # noqa: F403

model.backbone = dict(type=FixedSuperpixels, in_channels=3, num_superpixels=32, method="slic")
model.neck.in_channels = 2 + 3 + 3 * 3  # x, y, bands, three statistics a band
model.roll_coordinates = False  # it sees none
model.losses.pop("clustering")
model.losses.pop("smoothness")
model.losses.pop("superpixel_reconstruction")
# The recipe's epochs of segmentation, without those of superpixels before them.
train_cfg.merge(dict(max_epochs=32, val_interval=16, val_begin=1))
param_scheduler[0].begin = 0
custom_hooks[-2].merge(dict(stages=[(0, "segmentation")]))
