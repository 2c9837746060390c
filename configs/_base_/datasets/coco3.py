"""COCO-Stuff with 3 classes, the rest ignored; everything else as in coco15."""

from mmengine.config import read_base

from sgseg.datasets import COCOStuff3

with read_base():
    from .coco15 import *  # noqa: F403

train_dataloader.dataset.type = COCOStuff3
val_dataloader.dataset.type = COCOStuff3
test_dataloader = val_dataloader
val_evaluator.num_clusters = 3
test_evaluator = val_evaluator
