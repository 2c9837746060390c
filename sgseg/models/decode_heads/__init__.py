"""Decode heads read an image in a raster order and predict class probabilities."""

from .ac_head import ACHead

__all__ = ["ACHead"]
