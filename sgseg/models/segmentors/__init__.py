"""Segmentors: the whole model, from a batch to losses or predictions."""

from .base import UnsupervisedSegmentor
from .sgseg import SGSeg
from .views import PhotometricViews

__all__ = ["PhotometricViews", "SGSeg", "UnsupervisedSegmentor"]
