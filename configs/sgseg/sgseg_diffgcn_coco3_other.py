"""The paper on COCO-Stuff3 with a fourth, scored class for everything else: its "4 labels" read
literally. Its numbers stand on another scale than those on 3 classes."""

from mmengine.config import read_base

from sgseg.datasets import COCOStuff3Other

with read_base():
    from .sgseg_diffgcn_coco3 import *  # noqa: F403

train_dataloader.dataset.type = COCOStuff3Other
val_dataloader.dataset.type = COCOStuff3Other
test_dataloader = val_dataloader
val_evaluator.num_clusters = 4
test_evaluator = val_evaluator
model.decode_head.num_classes = 4
