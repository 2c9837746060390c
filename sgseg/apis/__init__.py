"""What the command line does, as functions."""

from .inference import Segmenter, segment_folder
from .train import build_config, evaluate, train

__all__ = ["Segmenter", "build_config", "evaluate", "segment_folder", "train"]
