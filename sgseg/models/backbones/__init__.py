"""Superpixel backbones: an image in, a ``Superpixels`` record out."""

from .spnn import SPNN

__all__ = ["SPNN"]
