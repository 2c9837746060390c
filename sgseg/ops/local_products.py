"""Sums under the superpixels and mixtures of their nodes, for P with nine numbers a pixel.

Shapes: weight (B, 9, H, W), features (B, C, H, W), nodes (B, N, C).
"""

from __future__ import annotations

from torch import Tensor

from .local_assignment import Cells


def sums(weight: Tensor, cells: Cells, features: Tensor) -> Tensor:
    """Sums of ``features`` under each superpixel, by weight: (B, N, C)."""
    total = features.new_zeros(len(features), cells.count, features.shape[1])
    for slot, cell in enumerate(cells.of_pixels().flatten(1)):
        part = (weight[:, slot, None] * features).flatten(2)  # (B, C, HW)
        total = total.index_add(1, cell, part.transpose(1, 2))
    return total


def mixture(weight: Tensor, cells: Cells, nodes: Tensor) -> Tensor:
    """Every pixel's mixture of ``nodes``: (B, C, H, W)."""
    mixed = nodes.new_zeros(len(nodes), nodes.shape[2], *weight.shape[2:])
    for slot, cell in enumerate(cells.of_pixels()):
        mixed = mixed + weight[:, slot, None] * nodes[:, cell].permute(0, 3, 1, 2)
    return mixed
