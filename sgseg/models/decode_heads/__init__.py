"""Decode heads: class probabilities from an image, or from the features of a trunk."""

from .ac_head import ACHead
from .centroid_head import CentroidHead
from .cluster_head import ClusterHead
from .infoseg_head import InfoSegHead, LocalGlobal
from .patch_pair_head import PatchPairHead

__all__ = [
    "ACHead",
    "CentroidHead",
    "ClusterHead",
    "InfoSegHead",
    "LocalGlobal",
    "PatchPairHead",
]
