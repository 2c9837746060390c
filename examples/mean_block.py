"""A graph block of one's own: a node becomes what a linear layer makes of its neighbours' mean.

PYTHONPATH=examples sgseg train examples/mean_block_mosaic.py
"""

import torch
from torch import Tensor, nn

from sgseg.ops.graph import gather_neighbours
from sgseg.testing import check_block


class MeanBlock(nn.Module):
    """ReLU of a linear layer over the mean of a node's k neighbours.

    Shapes: x (B, N, C), pos (B, N, 2), neighbours (B, N, k) -> (B, N, C).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """New features of the nodes."""
        mean = gather_neighbours(x, neighbours).mean(2)  # (B, N, C)
        return torch.relu(self.linear(mean))


if __name__ == "__main__":
    check_block(MeanBlock)
    print("MeanBlock keeps the contract of a graph block")
