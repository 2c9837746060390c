"""InMARS on COCO-Stuff with 15 classes (Table 1: 31.0 %): reconstruction from the description."""

from mmengine.config import read_base

from sgseg.datasets import SLICRegions

with read_base():
    from .._base_.datasets.coco15 import *  # noqa: F403
    from .._base_.models.inmars import *  # noqa: F403
    from .._base_.schedules.adam import *  # noqa: F403

model.decode_head.num_classes = 15
# After every crop and flip.
train_dataloader.dataset.transforms.insert(-1, dict(type=SLICRegions, regions=200, compactness=10))
total_batch_size = 60
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-4, decode_head=1e-4)
