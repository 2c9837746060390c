"""Models: a segmentor over backbone, neck, decode head and losses."""

from .backbones import SPNN, FixedSuperpixels
from .decode_heads import ACHead
from .layers import ConcatFusion, GatedFusion
from .losses import (
    ClusteringLoss,
    EdgeLoss,
    ImageReconstructionLoss,
    MutualInformationLoss,
    SegLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
    TotalVariationLoss,
)
from .necks import DGCNNBlock, DiffGCNBlock, GraphNeck, PointNetBlock, PyGBlock
from .preprocessor import ImagePreprocessor
from .segmentors import PhotometricViews, SGSeg, UnsupervisedSegmentor

__all__ = [
    "SPNN",
    "ACHead",
    "ClusteringLoss",
    "ConcatFusion",
    "DGCNNBlock",
    "DiffGCNBlock",
    "EdgeLoss",
    "FixedSuperpixels",
    "GatedFusion",
    "GraphNeck",
    "ImagePreprocessor",
    "ImageReconstructionLoss",
    "MutualInformationLoss",
    "PhotometricViews",
    "PointNetBlock",
    "PyGBlock",
    "SGSeg",
    "SegLoss",
    "SmoothnessLoss",
    "SuperpixelReconstructionLoss",
    "TotalVariationLoss",
    "UnsupervisedSegmentor",
]
