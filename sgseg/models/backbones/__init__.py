"""Backbones: superpixels of an image, or the features of a plain trunk."""

from .fixed_superpixels import FixedSuperpixels
from .frozen_features import FrozenFeatures
from .local_spnn import LocalSPNN
from .net10a import Net10a
from .spnn import SPNN

__all__ = ["SPNN", "FixedSuperpixels", "FrozenFeatures", "LocalSPNN", "Net10a"]
