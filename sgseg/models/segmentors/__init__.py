"""Segmentors: the whole model, from a batch to losses or predictions."""

from .base import UnsupervisedSegmentor
from .context_prediction import ContextPrediction
from .context_tasks import CoOccurrence, RelativePosition
from .iic import IIC
from .infoseg import InfoSeg
from .inmars import InMARS
from .jittered_views import JitteredViews
from .pixel_kmeans import PixelKMeans
from .sgseg import SGSeg
from .views import PhotometricViews

__all__ = [
    "IIC",
    "CoOccurrence",
    "ContextPrediction",
    "InMARS",
    "InfoSeg",
    "JitteredViews",
    "PhotometricViews",
    "PixelKMeans",
    "RelativePosition",
    "SGSeg",
    "UnsupervisedSegmentor",
]
