"""Losses: classes that read a ``SegState`` and give one weighted scalar."""

from .base import SegLoss
from .graph import TotalVariationLoss
from .segmentation import ImageReconstructionLoss, MutualInformationLoss
from .superpixel import (
    ClusteringLoss,
    EdgeLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
)

__all__ = [
    "ClusteringLoss",
    "EdgeLoss",
    "ImageReconstructionLoss",
    "MutualInformationLoss",
    "SegLoss",
    "SmoothnessLoss",
    "SuperpixelReconstructionLoss",
    "TotalVariationLoss",
]
