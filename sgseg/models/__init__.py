"""Models: a segmentor over backbone, neck, decode head and losses."""

from .backbones import SPNN, FixedSuperpixels, FrozenFeatures, LocalSPNN, Net10a
from .decode_heads import ACHead, CentroidHead, ClusterHead, InfoSegHead, PatchPairHead
from .layers import GatedFusion
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
from .segmentors import (
    IIC,
    ContextPrediction,
    InfoSeg,
    InMARS,
    PixelKMeans,
    SGSeg,
    UnsupervisedSegmentor,
)
from .tasks import CoOccurrence, RelativePosition
from .views import JitteredViews, PhotometricViews

__all__ = [
    "IIC",
    "SPNN",
    "ACHead",
    "CentroidHead",
    "ClusterHead",
    "ClusteringLoss",
    "CoOccurrence",
    "ContextPrediction",
    "DGCNNBlock",
    "DiffGCNBlock",
    "EdgeLoss",
    "FixedSuperpixels",
    "FrozenFeatures",
    "GatedFusion",
    "GraphNeck",
    "ImagePreprocessor",
    "ImageReconstructionLoss",
    "InMARS",
    "InfoSeg",
    "InfoSegHead",
    "JitteredViews",
    "LocalSPNN",
    "MutualInformationLoss",
    "Net10a",
    "PatchPairHead",
    "PhotometricViews",
    "PixelKMeans",
    "PointNetBlock",
    "PyGBlock",
    "RelativePosition",
    "SGSeg",
    "SegLoss",
    "SmoothnessLoss",
    "SuperpixelReconstructionLoss",
    "TotalVariationLoss",
    "UnsupervisedSegmentor",
]
