"""Backbones: superpixels of an image, or the features of a plain trunk."""

from .net10a import Net10a
from .spnn import SPNN

__all__ = ["SPNN", "Net10a"]
