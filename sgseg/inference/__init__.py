"""Label maps for images that nobody labelled."""

from .folder import BadImagesError, Prediction, segment_folder
from .result import Segmentation
from .segmenter import Segmenter

__all__ = ["BadImagesError", "Prediction", "Segmentation", "Segmenter", "segment_folder"]
