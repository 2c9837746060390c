"""1x1 Conv1D with batch normalisation on node features, the graph's counterpart of Conv-BN-ReLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NodeNorm(nn.Module):
    """Batch normalisation over all leading dimensions of (..., C), followed by ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised and rectified ``x``, of the same shape."""
        return torch.relu(self.norm(x.flatten(0, -2))).view_as(x)


class NodeMLP(nn.Module):
    """Linear layer without bias, batch normalisation, ReLU: (..., C_in) -> (..., C_out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = NodeNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """One layer applied to every node alike."""
        return self.norm(self.linear(x))
