"""Layers that torch does not have, shared by the parts of the model."""

from .dilated_depthwise import DilatedDepthwise
from .fusion import ConcatFusion, GatedFusion
from .initialise import kaiming_, xavier_
from .node_mlp import NodeMLP, NodeNorm
from .over_ranks import over_ranks, place
from .raster_attention import RasterAttention
from .raster_conv import RasterConv2d
from .recompute import keeps_inputs_only, recomputed

__all__ = [
    "ConcatFusion",
    "DilatedDepthwise",
    "GatedFusion",
    "NodeMLP",
    "NodeNorm",
    "RasterAttention",
    "RasterConv2d",
    "kaiming_",
    "keeps_inputs_only",
    "over_ranks",
    "place",
    "recomputed",
    "xavier_",
]
