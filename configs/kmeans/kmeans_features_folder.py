"""K-Means on frozen features of any folder of images: tools/train.py THIS --data FOLDER
--num-classes K --cfg-options model.backbone.weights=FILE (docs/guide/features.md)."""

from mmengine.config import read_base

from sgseg.models import FrozenFeatures

with read_base():
    from .kmeans_folder import *  # noqa: F403

model.backbone = dict(
    type=FrozenFeatures,
    model="vit_small_patch14_dinov2.lvd142m",
    weights=None,  # a file, or pretrained=True
    enlarge=2,  # a patch covers 7 pixels of an image of 96
    cache="work_dirs/features",
)
# Nothing is learned from other crops; so the images that are scored are in the cache already.
train_dataloader.dataset.transforms = [
    dict(type=ResizeShortest, size=96, keep_rasters=True),
    dict(type=CropTo, size=96),
    dict(type=PackInputs),
]
default_hooks.clustering.pixels = 200_000  # of hundreds of channels each
