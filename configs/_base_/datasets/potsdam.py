"""Potsdam with 6 classes: RGBIR patches of 200 x 200, whole; trained on all 8,550 and
scored on the 5,400 labelled ones (IIC)."""

from mmcv.transforms import RandomFlip
from mmengine.dataset import DefaultSampler, default_collate

from sgseg.datasets import DrawSampler, PackInputs, Potsdam
from sgseg.evaluation import HungarianMetric

total_batch_size = 32  # Table 12; over all processes
train_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type=DrawSampler, shuffle=True),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=Potsdam,
        root="data/potsdam",
        transforms=[
            dict(type=RandomFlip, prob=0.5),
            dict(type=PackInputs),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False, round_up=False),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=Potsdam,
        root="data/potsdam",
        splits=["labelled_train", "labelled_test"],
        transforms=[
            dict(type=PackInputs, with_labels=True),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=HungarianMetric, num_clusters=6)
test_evaluator = val_evaluator
