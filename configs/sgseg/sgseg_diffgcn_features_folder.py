"""Frozen features in the nodes of SLIC superpixels, on any folder of images: tools/train.py THIS
--data FOLDER --num-classes K --cfg-options model.frozen.weights=FILE (docs/guide/features.md)."""

from mmengine.config import read_base

from sgseg.models import FrozenFeatures

with read_base():
    from .sgseg_diffgcn_slic_folder import *  # noqa: F403

model.frozen = dict(
    type=FrozenFeatures,
    model="vit_small_patch14_dinov2.lvd142m",
    weights=None,  # a file, or pretrained=True
    enlarge=2,  # a patch covers 7 pixels of an image of 96
)
model.frozen_to = ("nodes",)
