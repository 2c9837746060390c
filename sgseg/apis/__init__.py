"""What the command line does, as functions."""

from .folder import segment_folder
from .inference import Segmenter
from .train import build_config, evaluate, train

__all__ = ["Segmenter", "build_config", "evaluate", "segment_folder", "train"]
