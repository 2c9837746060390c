"""COCO-Stuff3, whole images squeezed to 128 x 128 instead of x0.33 and a crop: other pixels, so
not to be compared with the published rows."""

from mmcv.transforms import RandomFlip
from mmengine.config import read_base

from sgseg.datasets import PackInputs, ResizeWhole

with read_base():
    from .coco3 import *  # noqa: F403

train_dataloader.dataset.transforms = [
    dict(type=ResizeWhole, size=128),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackInputs),
]
val_dataloader.dataset.transforms = [
    dict(type=ResizeWhole, size=128),
    dict(type=PackInputs, with_labels=True),
]
test_dataloader = val_dataloader
