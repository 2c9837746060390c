"""Potsdam with 3 classes; everything else as in potsdam."""

from mmengine.config import read_base

from sgseg.datasets import Potsdam3

with read_base():
    from .potsdam import *  # noqa: F403

train_dataloader.dataset.type = Potsdam3
val_dataloader.dataset.type = Potsdam3
test_dataloader = val_dataloader
val_evaluator.num_clusters = 3
test_evaluator = val_evaluator
