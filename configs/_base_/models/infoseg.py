"""InfoSeg, reconstruction from the description (Harb and Knoebelreiter, GCPR 2021).

Trunk, widths and the rates of the configs are ours: nothing of them is public.
"""

from sgseg.models import ImagePreprocessor, InfoSeg, InfoSegHead, JitteredViews, Net10a

model = dict(
    type=InfoSeg,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=dict(type=Net10a, base_channels=64, sobel=False, pad_like_iic=False),
    decode_head=dict(type=InfoSegHead, num_classes=15, channels=256),
    views=dict(
        type=JitteredViews, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125, flip=0.5
    ),
    balance=0.0,
)
