"""GraphNeck, the graph network of Table 8 around any graph block."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...ops.graph import knn as nearest_neighbours
from ...registry import MODELS
from ..layers import NodeMLP, xavier_

GraphOn = Literal["features", "xy"]


@MODELS.register_module()
class GraphNeck(nn.Module):
    """Refine superpixel nodes by a stack of graph blocks (Eq 5, Table 8).

    Shapes: nodes (B, N, in_channels), positions in channels 0:2 -> (B, N, channels).

    Args:
        in_channels: width of a node, 2 + bands + backbone features (517 for RGB in the paper).
        channels: width inside and at the end; 64 in the paper.
        num_blocks: L, the number of graph blocks, whose outputs are all joined.
        knn: neighbours of a node, itself excluded; clamped to N - 1 with a warning.
        block: config of the block, built as ``Block(channels, ...)``.
        graph_on: neighbours by distance of all node ``features`` (the paper) or of ``xy``.
        dynamic: rebuild the graph on the features in front of every block (DGCNN), whatever
            ``graph_on`` says of the first, instead of once (the paper).
        knn_normalise: standardise every feature over the nodes of an image before distances are
            taken, so that the many deep features do not outweigh colour and position.
        use_position: feed x and y as features. Without them a node's class cannot be read off
            its place; the graph and the derivatives still know it.

    Raises:
        ValueError: for nodes of another width or an unknown ``graph_on``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 64,
        num_blocks: int = 4,
        knn: int = 20,
        block: Mapping[str, Any] | None = None,
        graph_on: GraphOn = "features",
        dynamic: bool = False,
        knn_normalise: bool = False,
        use_position: bool = True,
    ) -> None:
        super().__init__()
        if graph_on not in ("features", "xy"):
            raise ValueError(f"GraphNeck: graph_on = {graph_on!r}; choose 'features' or 'xy'")
        if min(knn, num_blocks, channels) < 1 or in_channels < 3:
            raise ValueError(
                f"GraphNeck: knn = {knn}, num_blocks = {num_blocks} and channels = {channels} must "
                f"be >= 1 and in_channels = {in_channels} >= 3 (x, y and features)"
            )
        self.in_channels = in_channels
        self.out_channels = channels
        self.knn = knn
        self.graph_on = graph_on
        self.dynamic = dynamic
        self.knn_normalise = knn_normalise
        self.use_position = use_position
        block = dict(block or dict(type="DiffGCNBlock"))
        self.stem = NodeMLP(in_channels if use_position else in_channels - 2, channels)
        self.blocks = nn.ModuleList(
            MODELS.build(dict(block, channels=channels)) for _ in range(num_blocks)
        )
        self.fuse = nn.Sequential(
            NodeMLP(num_blocks * channels, 4 * channels),
            NodeMLP(4 * channels, 2 * channels),
            nn.Linear(2 * channels, channels),
        )
        xavier_(self)

    def forward(self, nodes: Tensor) -> Tensor:
        """Refined features of ``nodes``."""
        if nodes.dim() != 3 or nodes.shape[2] != self.in_channels:
            raise ValueError(
                f"GraphNeck: expected nodes (B, N, {self.in_channels}), got {tuple(nodes.shape)}: "
                "set in_channels to 2 + bands + backbone features"
            )
        positions = nodes[..., :2]  # (B, N, 2)
        neighbours = self._neighbours(positions if self.graph_on == "xy" else nodes)  # (B, N, k)
        x = self.stem(nodes if self.use_position else nodes[..., 2:])  # (B, N, channels)
        refined = []
        for depth, block in enumerate(self.blocks):
            if self.dynamic and depth > 0:
                neighbours = self._neighbours(x)
            x = block(x, positions, neighbours)
            refined.append(x)
        return self.fuse(torch.cat(refined, 2))  # (B, N, channels)

    def _neighbours(self, points: Tensor) -> Tensor:
        others = points.shape[1] - 1
        if others < 1:
            raise ValueError("GraphNeck: one node has no neighbours; use at least 2 superpixels")
        if self.knn > others:
            warnings.warn(
                f"GraphNeck: knn = {self.knn} but a node has only {others} others; using {others}. "
                "Lower knn or raise num_superpixels.",
                stacklevel=2,
            )
        if self.knn_normalise:
            deviation, mean = torch.std_mean(points.detach().float(), 1, keepdim=True)
            points = (points - mean) / deviation.clamp_min(1e-6)
        return nearest_neighbours(points, min(self.knn, others))
