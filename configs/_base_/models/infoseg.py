"""InfoSeg, reconstruction from the description (Harb and Knoebelreiter, GCPR 2021)."""

from sgseg.models import ImagePreprocessor, InfoSeg, InfoSegHead, JitteredViews, Net10a

model = dict(
    type=InfoSeg,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=dict(type=Net10a, in_channels=3, base_channels=64, sobel=False, pad_like_iic=False),
    decode_head=dict(type=InfoSegHead, num_classes=15, channels=256),
    views=dict(
        type=JitteredViews, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125, flip=0.5
    ),
    balance=0.0,
)
# Trunk, widths and rate are ours: nothing of them is public.
learning_rates = dict(backbone=1e-4, decode_head=1e-4)
