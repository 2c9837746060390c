"""K-Means on the colours of single pixels, for RGB and 15 classes."""

from sgseg.engine import ClusterFeaturesHook
from sgseg.models import CentroidHead, ImagePreprocessor, PixelKMeans

model = dict(
    type=PixelKMeans,
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="none"),
    decode_head=dict(type=CentroidHead, in_channels=3, num_classes=15),
)
# IIC's number of pixels is not public.
clustering_hook = dict(type=ClusterFeaturesHook, pixels=1_000_000, interval=None)
