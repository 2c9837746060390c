"""AC alone: the raster head on the image (Ouali et al., ECCV 2020), for RGB and 15 classes."""

from sgseg.models import ACHead, ImagePreprocessor, MutualInformationLoss, SGSeg

model = dict(
    type=SGSeg,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=None,
    neck=None,
    decode_head=dict(
        type=ACHead,
        num_classes=15,
        image_channels=0,
        base_channels=64,
        multipliers=(2, 4, 8, 16),
        output_stride=2,
        attention=False,
    ),
    losses=dict(mutual_information=dict(type=MutualInformationLoss, half_window=0, balance=1.0)),
)
