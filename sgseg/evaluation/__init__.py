"""Metrics of a segmentation without labels of its own."""

from .hungarian import HungarianMetric
from .label_free import LabelFreeScores

__all__ = ["HungarianMetric", "LabelFreeScores"]
