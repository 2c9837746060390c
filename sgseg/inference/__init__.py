"""Label maps for images that nobody labelled."""

from .folder import BadImagesError, segment_folder
from .segmenter import Segmenter

__all__ = ["BadImagesError", "Segmenter", "segment_folder"]
