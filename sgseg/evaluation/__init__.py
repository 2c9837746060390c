"""Metrics of a segmentation without labels of its own."""

from .hungarian import HungarianMetric

__all__ = ["HungarianMetric"]
