"""Any folder: images/, and labels/ with classes.txt if the result is to be scored."""

from mmcv.transforms import RandomFlip
from mmengine.dataset import DefaultSampler, default_collate

from sgseg.datasets import (
    CropTo,
    DrawSampler,
    ImageFolder,
    LabelledFolder,
    PackInputs,
    ResizeShortest,
)
from sgseg.evaluation import HungarianMetric

total_batch_size = 16  # over all processes
train_dataloader = dict(
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    # An epoch draws so many, of a larger folder and of a smaller one.
    sampler=dict(type=DrawSampler, shuffle=True, images=256),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=ImageFolder,
        root="data/folder",
        bands=3,
        transforms=[
            dict(type=ResizeShortest, size=96, keep_rasters=True),
            dict(type=CropTo, size=96, random=True),
            dict(type=RandomFlip, prob=0.5),
            dict(type=PackInputs),
        ],
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False, round_up=False),
    collate_fn=dict(type=default_collate),
    dataset=dict(
        type=LabelledFolder,
        root="data/folder",
        bands=3,
        transforms=[
            dict(type=ResizeShortest, size=96, keep_rasters=True),
            dict(type=CropTo, size=96),
            dict(type=PackInputs, with_labels=True),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=HungarianMetric, num_clusters=4)
test_evaluator = val_evaluator

predict_side = 96  # whole images are segmented at this shorter side, as they were trained
