"""IIC as its code and commands have it (Ji et al., ICCV 2019), for RGB and 15 classes."""

from sgseg.models import (
    IIC,
    ClusterHead,
    ImagePreprocessor,
    JitteredViews,
    MutualInformationLoss,
    Net10a,
)

model = dict(
    type=IIC,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=dict(type=Net10a, base_channels=64, sobel=True, pad_like_iic=True),
    decode_head=dict(type=ClusterHead, num_classes=15, pad_like_iic=True),
    overclustering=3,
    views=dict(
        type=JitteredViews, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125, flip=0.5
    ),
    losses=dict(
        auxiliary_head=dict(
            type=MutualInformationLoss, half_window=10, balance=1.0, symmetric=True
        ),
        decode_head=dict(type=MutualInformationLoss, half_window=10, balance=1.0, symmetric=True),
    ),
)
