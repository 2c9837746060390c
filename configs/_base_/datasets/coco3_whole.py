"""COCO-Stuff3, whole images squeezed to 128 x 128 instead of x0.33 and a crop: other pixels, so
not to be compared with the published rows."""

from mmengine.config import read_base

from sgseg.datasets import COCOStuff3

with read_base():
    from .coco15_whole import *  # noqa: F403

train_dataloader.dataset.type = COCOStuff3
val_dataloader.dataset.type = COCOStuff3
test_dataloader = val_dataloader
val_evaluator.num_clusters = 3
test_evaluator = val_evaluator
