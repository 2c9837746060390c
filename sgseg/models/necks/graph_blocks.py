r"""The three graph blocks of the paper, and any torch-geometric convolution as a block.

.. math:: \tilde F_i = \square_{(i,j) \in E} h_\Theta(g(F_i, F_j))

h is linear, batch normalisation, ReLU. Its linear layer acts before anything non-linear, so it
is applied to the N nodes and never to the N*k edges, which :class:`EdgeNorm` does not keep.

Shapes: x (B, N, C), pos (B, N, 2), neighbours (B, N, k) -> (B, N, C). Source: Eq 14-16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...ops.graph import edge_directions
from ...registry import MODELS
from ..layers import Aggregation, EdgeNorm, NodeMLP, NodeNorm


def _checked(how: Aggregation, block: str) -> Aggregation:
    if how not in ("max", "mean"):
        raise ValueError(f"{block}: aggregation = {how!r}; choose 'max' or 'mean'")
    return how


@MODELS.register_module()
class PointNetBlock(nn.Module):
    r"""Every node by itself, no graph (Eq 14): :math:`\tilde F_i = h_\Theta(F_i)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.update = NodeMLP(channels, channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes; ``pos`` and ``neighbours`` are not looked at."""
        return self.update(x)


@MODELS.register_module()
class DGCNNBlock(nn.Module):
    r"""Edge convolution of DGCNN (Eq 15).

    .. math:: \tilde F_i = \square_j\, h_\Theta(F_i \oplus (F_i - F_j))

    Args:
        channels: C.
        aggregation: ``max`` as in DGCNN, or ``mean``.
        include_self: add the edge from a node to itself, as DGCNN's own code does; the paper's
            graph has no such edge.
    """

    def __init__(
        self, channels: int, aggregation: Aggregation = "max", include_self: bool = False
    ) -> None:
        super().__init__()
        self.aggregation = _checked(aggregation, "DGCNNBlock")
        self.include_self = include_self
        self.linear = nn.Linear(2 * channels, channels, bias=False)
        self.norm = EdgeNorm(channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes by the differences to their neighbours; ``pos`` is not looked at."""
        if self.include_self:
            own = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)[:, :, None]
            neighbours = torch.cat([own, neighbours], 2)  # (B, N, 1 + k)
        # W (F_i + (F_i - F_j)) = (W_node + W_diff) F_i - W_diff F_j
        node, diff = self.linear.weight.chunk(2, 1)
        own, other = x @ (node + diff).T, x @ diff.T  # (B, N, C)
        return self.norm.aggregate(own, other, None, neighbours, self.aggregation)


@MODELS.register_module()
class DiffGCNBlock(nn.Module):
    r"""Directional derivatives on the superpixel graph, DiffGCN in 2-D (Eq 16).

    .. math:: g = F_i \oplus \frac{F_i - F_j}{\Delta_{ij}} (x_i - x_j)
                      \oplus \frac{F_i - F_j}{\Delta_{ij}} (y_i - y_j)

    Unchanged when the positions are shifted or scaled; coincident nodes give zero derivatives.

    Args:
        channels: C.
        aggregation: ``max`` as for DGCNN, or ``mean`` as in the authors' DiffGCN code.
        eps: length in position units below which two nodes coincide.
    """

    def __init__(self, channels: int, aggregation: Aggregation = "max", eps: float = 1e-6) -> None:
        super().__init__()
        self.aggregation = _checked(aggregation, "DiffGCNBlock")
        self.eps = eps
        self.linear = nn.Linear(3 * channels, channels, bias=False)
        self.norm = EdgeNorm(channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes by the derivatives along x and y towards their neighbours."""
        node, dx, dy = self.linear.weight.chunk(3, 1)
        own = x @ node.T  # (B, N, C)
        slopes = x @ torch.cat([dx, dy]).T  # (B, N, 2C)
        directions = edge_directions(pos, neighbours, self.eps).to(pos.dtype)  # (B, N, k, 2)
        return self.norm.aggregate(own, slopes, directions, neighbours, self.aggregation)


@MODELS.register_module()
class PyGBlock(nn.Module):
    """Any convolution of ``torch_geometric.nn`` as a block, followed by BN and ReLU.

    Args:
        channels: C; the convolution is built as ``Conv(channels, channels, **options)``.
        conv: its class name, for example ``GATv2Conv``, ``SAGEConv``, ``TransformerConv``.
        options: its further arguments. With several heads keep the output C wide
            (``concat=False``).

    Raises:
        ValueError: for an unknown name or a convolution that is built another way.
    """

    def __init__(
        self, channels: int, conv: str = "GATv2Conv", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        from torch_geometric import nn as pyg_nn  # heavy: only who asks for it pays

        kind = getattr(pyg_nn, conv, None)
        if kind is None:
            raise ValueError(f"PyGBlock: torch_geometric.nn has no convolution named {conv!r}")
        try:
            self.conv = kind(channels, channels, **dict(options or {}))
        except TypeError as error:
            raise ValueError(
                f"PyGBlock: {conv} cannot be built as {conv}({channels}, {channels}, "
                f"**{dict(options or {})}): {error}; give its arguments in options, or wrap it in "
                "a block of your own"
            ) from error
        if not any(p.shape for p in self.conv.parameters()):
            raise ValueError(
                f"PyGBlock: {conv} has no weights when built from widths (it wants a network of "
                "its own); wrap it in a block of your own"
            )
        self.norm = NodeNorm(channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes by messages from neighbour to node; ``pos`` is not looked at."""
        images, nodes, k = neighbours.shape
        first = torch.arange(images, device=x.device)[:, None, None] * nodes  # (B, 1, 1)
        target = torch.arange(images * nodes, device=x.device).repeat_interleave(k)
        edge_index = torch.stack([(neighbours + first).flatten(), target])  # (2, B*N*k)
        refined = self.conv(x.flatten(0, 1), edge_index)  # (B*N, C)
        if refined.shape[1] != x.shape[2]:
            raise ValueError(
                f"PyGBlock: the convolution gives {refined.shape[1]} channels for {x.shape[2]}; "
                "set its options so that the width stays (for attention heads: concat=False)"
            )
        return self.norm(refined.view_as(x))
