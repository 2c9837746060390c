"""COCO-Stuff with 15 classes: x0.33, 128-pixel crops; trained on and scored on both splits (IIC)."""

from mmcv.transforms import RandomFlip
from mmengine.dataset import DefaultSampler, default_collate

from sgseg.datasets import COCOStuff15, CropTo, DrawSampler, PackInputs, Rescale
from sgseg.evaluation import HungarianMetric

total_batch_size = 64  # Table 12; over all processes
train_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type=DrawSampler, shuffle=True),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=COCOStuff15,
        root="data/coco_stuff",
        transforms=[
            dict(type=Rescale, factor=0.33, interpolation="bilinear"),
            dict(type=CropTo, size=128, random=True),
            dict(type=RandomFlip, prob=0.5),
            dict(type=PackInputs),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False, round_up=False),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=COCOStuff15,
        root="data/coco_stuff",
        transforms=[
            dict(type=Rescale, factor=0.33, interpolation="bilinear"),
            dict(type=CropTo, size=128),
            dict(type=PackInputs, with_labels=True),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=HungarianMetric, num_clusters=15)
test_evaluator = val_evaluator
