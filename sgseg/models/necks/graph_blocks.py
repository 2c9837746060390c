r"""The three graph blocks of the paper, and any torch-geometric convolution as a block.

.. math:: \tilde F_i = \square_{j}\, h_\Theta(g(F_i, F_j))

g makes the features of an edge; h is linear, batch normalisation over all edges, ReLU; the square
is the maximum or mean over the neighbours j of node i. The edges of a batch are k times as many as
its nodes, so they are made again in the backward pass instead of kept.

Shapes: x (B, N, C), pos (B, N, 2), neighbours (B, N, k) -> (B, N, C). Source: Eq 14-16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...ops.graph import edge_directions, gather_neighbours
from ...registry import MODELS
from ..layers import NodeMLP, NodeNorm, keeps_inputs_only

Aggregation = Literal["max", "mean"]


def _aggregation(how: Aggregation, block: str) -> Callable[[Tensor, int], Tensor]:
    kinds: dict[str, Callable[[Tensor, int], Tensor]] = dict(max=torch.amax, mean=torch.mean)
    if how not in kinds:
        raise ValueError(f"{block}: aggregation = {how!r}; choose 'max' or 'mean'")
    return kinds[how]


@MODELS.register_module()
class PointNetBlock(nn.Module):
    r"""Every node by itself, no graph (Eq 14).

    .. math:: \tilde F_i = h_\Theta(F_i)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.update = NodeMLP(channels, channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes; ``pos`` and ``neighbours`` are not looked at."""
        return self.update(x)


@MODELS.register_module()
class DGCNNBlock(nn.Module):
    r"""Edge convolution of DGCNN (Eq 15).

    .. math:: g(F_i, F_j) = F_i \oplus (F_i - F_j)

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
        self.aggregate = _aggregation(aggregation, "DGCNNBlock")
        self.include_self = include_self
        self.linear = nn.Linear(2 * channels, channels, bias=False)
        self.norm = NodeNorm(channels)

    @keeps_inputs_only
    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes by the differences to their neighbours; ``pos`` is not looked at."""
        if self.include_self:
            nodes = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)[:, :, None]
            neighbours = torch.cat([nodes, neighbours], 2)  # (B, N, 1 + k)
        other = gather_neighbours(x, neighbours)  # (B, N, k, C)
        own = x[:, :, None].expand_as(other)  # (B, N, k, C)
        g = torch.cat([own, own - other], 3)  # (B, N, k, 2C)
        h = self.norm(self.linear(g))  # (B, N, k, C)
        return self.aggregate(h, 2)  # (B, N, C)


@MODELS.register_module()
class DiffGCNBlock(nn.Module):
    r"""Directional derivatives on the superpixel graph, DiffGCN in 2-D (Eq 16).

    .. math:: g(F_i, F_j) = F_i \oplus \frac{F_i - F_j}{\Delta_{ij}} (x_i - x_j)
                                \oplus \frac{F_i - F_j}{\Delta_{ij}} (y_i - y_j)

    Unchanged when the positions are shifted or scaled; coincident nodes give zero derivatives.

    Args:
        channels: C.
        aggregation: ``max`` as for DGCNN, or ``mean`` as in the authors' DiffGCN code.
        eps: length in position units below which two nodes coincide.
    """

    def __init__(self, channels: int, aggregation: Aggregation = "max", eps: float = 1e-6) -> None:
        super().__init__()
        self.aggregate = _aggregation(aggregation, "DiffGCNBlock")
        self.eps = eps
        self.linear = nn.Linear(3 * channels, channels, bias=False)
        self.norm = NodeNorm(channels)

    @keeps_inputs_only
    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes by the derivatives along x and y towards their neighbours."""
        other = gather_neighbours(x, neighbours)  # (B, N, k, C)
        own = x[:, :, None].expand_as(other)  # (B, N, k, C)
        along = edge_directions(pos, neighbours, self.eps).to(x.dtype)  # (B, N, k, 2)
        along_x, along_y = along.split(1, 3)  # (B, N, k, 1)
        g = torch.cat([own, (own - other) * along_x, (own - other) * along_y], 3)  # (B, N, k, 3C)
        h = self.norm(self.linear(g))  # (B, N, k, C)
        return self.aggregate(h, 2)  # (B, N, C)


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
