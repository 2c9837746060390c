"""Doersch as IIC repeats it: the direction of a second window, for RGB and 15 classes."""

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
    backbone=dict(type=Net10a, base_channels=64, sobel=True, pad_like_iic=True),
    context_head=dict(type=PatchPairHead, dropout=0.5),
    task=dict(type=RelativePosition, num_positions=8, side=11),
    decode_head=dict(type=CentroidHead, num_classes=15),
    drop_colours=True,
)
