"""K-Means on frozen features averaged over SLIC superpixels: tools/train.py THIS --data FOLDER
--num-classes K --cfg-options model.backbone.weights=FILE (docs/guide/features.md)."""

from mmengine.config import read_base

from sgseg.models import FixedSuperpixels

with read_base():
    from .kmeans_features_folder import *  # noqa: F403

model.superpixels = dict(type=FixedSuperpixels, num_superpixels=100, method="slic")
