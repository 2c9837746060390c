"""Segmentors: the whole model, from a batch to losses or predictions."""

from .base import UnsupervisedSegmentor
from .context_prediction import ContextPrediction
from .iic import IIC
from .infoseg import InfoSeg
from .inmars import InMARS
from .pixel_kmeans import PixelKMeans
from .sgseg import SGSeg

__all__ = [
    "IIC",
    "ContextPrediction",
    "InMARS",
    "InfoSeg",
    "PixelKMeans",
    "SGSeg",
    "UnsupervisedSegmentor",
]
