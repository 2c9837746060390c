"""What the command line does, as functions."""

from .config import build_config
from .folder import BadImagesError, segment_folder
from .inference import Segmenter
from .saved import config_for
from .train import evaluate, train

__all__ = [
    "BadImagesError",
    "Segmenter",
    "build_config",
    "config_for",
    "evaluate",
    "segment_folder",
    "train",
]
