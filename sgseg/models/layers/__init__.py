"""Layers that torch does not have, shared by the parts of the model."""

from .conv import ConvNormAct
from .dilated_depthwise import DilatedDepthwise
from .fusion import GatedFusion
from .initialise import kaiming_, xavier_
from .node_mlp import NodeMLP, NodeNorm
from .over_ranks import over_ranks
from .raster_attention import RasterAttention
from .raster_conv import RasterConv2d
from .recompute import keeps_inputs_only, recomputed

__all__ = [
    "ConvNormAct",
    "DilatedDepthwise",
    "GatedFusion",
    "NodeMLP",
    "NodeNorm",
    "RasterAttention",
    "RasterConv2d",
    "kaiming_",
    "keeps_inputs_only",
    "over_ranks",
    "recomputed",
    "xavier_",
]
