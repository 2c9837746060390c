"""InMARS, reconstruction from the description (Mirsadeghi et al., RA-L 2021).

Every number here and the rates of the configs are ours: nothing quantitative is public.
"""

from sgseg.models import ClusterHead, ImagePreprocessor, InMARS, JitteredViews, Net10a

model = dict(
    type=InMARS,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    backbone=dict(type=Net10a, base_channels=64, sobel=False, pad_like_iic=False),
    decode_head=dict(type=ClusterHead, num_classes=15, pad_like_iic=False),
    views=dict(
        type=JitteredViews, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125, flip=0.5
    ),
    balance=4.0,
    adversarial=1.0,
    consistency=1.0,
    radius=1.0,
)
