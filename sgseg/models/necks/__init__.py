"""Necks refine the superpixel nodes: (B, N, C_in) -> (B, N, channels)."""

from .graph_blocks import DGCNNBlock, DiffGCNBlock, PointNetBlock, PyGBlock
from .graph_neck import GraphNeck

__all__ = ["DGCNNBlock", "DiffGCNBlock", "GraphNeck", "PointNetBlock", "PyGBlock"]
