"""The graph blocks as Eq 14-16 are printed: features of every edge, joined, then h on each.

Shapes: x (B, N, C), pos (B, N, 2), neighbours (B, N, k) -> (B, N, C). The weights have the names
of torch's layers: ``linear``, ``norm``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlainBlock(nn.Module):
    """h on edge features of ``parts`` times C channels, then the aggregation over neighbours.

    Args:
        channels: C.
        parts: how many features of width C stand side by side on an edge.
        aggregation: ``max`` or ``mean``.
    """

    def __init__(self, channels: int, parts: int, aggregation: str = "max") -> None:
        super().__init__()
        self.aggregation = aggregation
        self.linear = nn.Linear(parts * channels, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def h(self, edges: Tensor) -> Tensor:
        """Linear, batch normalisation over all edges, ReLU."""
        out = self.linear(edges)
        return torch.relu(self.norm(out.flatten(0, -2)).view_as(out))

    def aggregate(self, edges: Tensor) -> Tensor:
        """(B, N, k, C) -> (B, N, C)."""
        return edges.amax(2) if self.aggregation == "max" else edges.mean(2)


def _pair(x: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """F_i and F_i - F_j of every edge, (B, N, k, C) each."""
    image = torch.arange(len(x))[:, None, None]
    own = x[:, :, None].expand(-1, -1, neighbours.shape[2], -1)
    return own, own - x[image, neighbours]


class PlainPointNet(PlainBlock):
    """Eq 14."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """h(F_i)."""
        return self.h(x)


class PlainDGCNN(PlainBlock):
    """Eq 15."""

    def __init__(self, channels: int, aggregation: str = "max") -> None:
        super().__init__(channels, 2, aggregation)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Aggregate h(F_i (+) (F_i - F_j))."""
        return self.aggregate(self.h(torch.cat(_pair(x, neighbours), 3)))


class PlainDiffGCN(PlainBlock):
    """Eq 16."""

    def __init__(self, channels: int, aggregation: str = "max", eps: float = 1e-6) -> None:
        super().__init__(channels, 3, aggregation)
        self.eps = eps

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Aggregate h(F_i (+) dF/D (x_i - x_j) (+) dF/D (y_i - y_j))."""
        own, change = _pair(x, neighbours)
        offset = _pair(pos, neighbours)[1]  # (B, N, k, 2)
        length = (offset.square().sum(3, keepdim=True) + self.eps**2).sqrt()
        slope = change / length  # (B, N, k, C)
        edges = torch.cat([own, slope * offset[..., :1], slope * offset[..., 1:]], 3)
        return self.aggregate(self.h(edges))
