"""Superpixel backbones: an image in, a ``Superpixels`` record out."""

from .fixed_superpixels import FixedSuperpixels
from .spnn import SPNN

__all__ = ["SPNN", "FixedSuperpixels"]
