"""The main model, each training image jittered in colour as in IIC, once for both orders."""

from mmengine.config import read_base

from sgseg.datasets import ColorJitter

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

# In front of the flip, at the size that the model sees.
train_dataloader.dataset.transforms.insert(
    -2, dict(type=ColorJitter, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125)
)
