"""Doersch as IIC repeats it: the direction of a second window, for RGB and 15 classes."""

from sgseg.engine import ClusterFeaturesHook
from sgseg.models import (
    CentroidHead,
    ContextPrediction,
    ImagePreprocessor,
    Net10a,
    PatchPairHead,
    RelativePosition,
)

model = dict(
    type=ContextPrediction,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=dict(type=Net10a, in_channels=3, base_channels=64, sobel=True, pad_like_iic=True),
    context_head=dict(type=PatchPairHead, dropout=0.5),
    task=dict(type=RelativePosition, num_positions=8, side=11),
    decode_head=dict(type=CentroidHead, num_classes=15),
    drop_colours=True,
)
clustering_hook = dict(type=ClusterFeaturesHook, pixels=500_000, interval=1)
# IIC's default is 1e-2, its rates per set are not public.
learning_rates = dict(backbone=1e-3, context_head=1e-3, decode_head=1e-3)
