"""SLIC in the place of SPNN on any folder of images: nothing to pre-train, the rest as in
sgseg_diffgcn_practical_folder."""

from mmengine.config import read_base

from sgseg.models import FixedSuperpixels

with read_base():
    from .sgseg_diffgcn_practical_folder import *  # noqa: F403

model.backbone = dict(type=FixedSuperpixels, num_superpixels=32, method="slic")
model.roll_coordinates = False  # it sees none
model.losses.merge(dict(clustering=None, smoothness=None, superpixel_reconstruction=None))
# The recipe's epochs of segmentation, without those of superpixels before them.
train_cfg.merge(dict(max_epochs=32, val_interval=16, val_begin=1))
param_scheduler[0].begin = 0
default_hooks.stage.stages = [(0, "segmentation")]
