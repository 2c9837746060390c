"""Linear layers with batch normalisation on the features of nodes and edges (Table 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NodeNorm(nn.Module):
    """Batch normalisation over all nodes or edges of a batch, followed by ReLU.

    Shapes: (..., C) -> (..., C); every leading dimension counts as the batch's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """ReLU(BN(x))."""
        return torch.relu(self.norm(x.flatten(0, -2))).view_as(x)


class NodeMLP(nn.Module):
    """Linear layer without bias, batch normalisation and ReLU, on every node alike.

    Shapes: (..., in_channels) -> (..., out_channels).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = NodeNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """ReLU(BN(W x))."""
        return self.norm(self.linear(x))
