"""K-Means on the colours of single pixels, for RGB and 15 classes."""

from sgseg.models import CentroidHead, ImagePreprocessor, PixelKMeans

model = dict(
    type=PixelKMeans,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    decode_head=dict(type=CentroidHead, num_classes=15),
)
