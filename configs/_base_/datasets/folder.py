"""Any folder: images/, and labels/ with classes.txt if the result is to be scored."""

from mmcv.transforms import RandomFlip
from mmengine.dataset import DefaultSampler, default_collate

from sgseg.datasets import (
 An epoch of a larger folder draws so many anew: a training takes no longer on it.CropTo,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.DrawSampler,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.ImageFolder,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.LabelledFolder,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.PackInputs,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.ResizeShortest,
)
from sgseg.evaluation import HungarianMetric

total_batch_size = 16  # over all processes
train_dataloader = dict(
 An epoch of a larger folder draws so many anew: a training takes no longer on it.num_workers=2,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.persistent_workers=True,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.drop_last=True,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.# An epoch of a larger folder draws so many anew: a training takes no longer on it.
 An epoch of a larger folder draws so many anew: a training takes no longer on it.sampler=dict(type=DrawSampler, shuffle=True, images=400),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.collate_fn=dict(type=default_collate),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.dataset=dict(
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    type=ImageFolder,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    root="data/folder",
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    bands=3,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    transforms=[
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=ResizeShortest, size=96, keep_rasters=True),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=CropTo, size=96, random=True),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=RandomFlip, prob=0.5),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=PackInputs),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    ],
 An epoch of a larger folder draws so many anew: a training takes no longer on it.),
)
val_dataloader = dict(
 An epoch of a larger folder draws so many anew: a training takes no longer on it.batch_size=16,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.num_workers=2,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.persistent_workers=True,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.sampler=dict(type=DefaultSampler, shuffle=False, round_up=False),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.collate_fn=dict(type=default_collate),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.dataset=dict(
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    type=LabelledFolder,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    root="data/folder",
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    bands=3,
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    transforms=[
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=ResizeShortest, size=96, keep_rasters=True),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=CropTo, size=96),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.        dict(type=PackInputs, with_labels=True),
 An epoch of a larger folder draws so many anew: a training takes no longer on it.    ],
 An epoch of a larger folder draws so many anew: a training takes no longer on it.),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=HungarianMetric, num_clusters=4)
test_evaluator = val_evaluator

predict_side = 96  # whole images are segmented at this shorter side, as they were trained
