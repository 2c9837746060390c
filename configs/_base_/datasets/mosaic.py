"""Mosaics of real textures, made on the fly: nothing to download."""

from mmengine.dataset import DefaultSampler, default_collate

from sgseg.datasets import DrawSampler, PackInputs, TextureMosaic
from sgseg.evaluation import HungarianMetric

total_batch_size = 8  # over all processes
train_dataloader = dict(
    num_workers=0,
    drop_last=True,
    sampler=dict(type=DrawSampler, shuffle=True),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=TextureMosaic,
        length=256,
        size=64,
        transforms=[
            dict(type=PackInputs),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False, round_up=False),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=TextureMosaic,
        length=256,
        size=64,
        transforms=[
            dict(type=PackInputs, with_labels=True),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=HungarianMetric, num_clusters=3)
test_evaluator = val_evaluator
