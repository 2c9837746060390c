"""Superpixels alone, learned from any folder of images:
tools/train.py THIS --data FOLDER. No classes, no labels; N is free afterwards."""

from mmcv.transforms import RandomFlip
from mmengine.config import read_base

from sgseg.datasets import CropTo, PackInputs
from sgseg.engine import SuperpixelPictureHook
from sgseg.models import LocalSPNN

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.sgseg import *  # noqa: F403
    from .._base_.schedules.pretrain_joint import *  # noqa: F403

# Pixels as they are: resized, other things would be edges. 36 cells lie in a crop as 200 in a
# photograph of 321 x 481.
train_dataloader.dataset.transforms = [
    dict(type=CropTo, size=160, random=True),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackInputs),
]
total_batch_size = 8
predict_side = None

model.backbone = dict(type=LocalSPNN, num_superpixels=36, base_channels=4, stride=2)
# Only the backbone trains; graph and head are there for the rest of the model to be whole.
model.neck = None
model.decode_head.merge(dict(num_classes=2, base_channels=4, multipliers=(1, 1)))
model.losses = dict(
    clustering=model.losses.clustering,
    smoothness=model.losses.smoothness,
    superpixel_reconstruction=model.losses.superpixel_reconstruction,
    edge=model.losses.edge,
)

train_cfg.max_epochs = 10
val_cfg = test_cfg = None
val_dataloader = test_dataloader = None
val_evaluator = test_evaluator = None
default_hooks.checkpoint.pop("save_best")
default_hooks.stage.stages = [(0, "superpixel")]
default_hooks.pictures = dict(type=SuperpixelPictureHook)
optim_wrapper.paramwise_cfg.lr = dict(backbone=2e-3, decode_head=1e-3)
