"""What the equations on P are made of, for P with nine numbers a pixel.

Shapes: weight (B, 9, H, W), features (B, C, H, W), nodes (B, N, C).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import fused
from .fused import fused_by
from .local_assignment import Cells
from .precision import inverse_mass


@fused_by(fused.local_sums)
def local_sums(weight: Tensor, cells: Cells, features: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``features`` under each superpixel, by weight, and its mass.

    Returns:
        (B, N, C) and (B, N, 1).
    """
    extended = torch.cat([features, torch.ones_like(weight[:, :1])], 1)  # (B, C+1, H, W)
    total = extended.new_zeros(len(weight), cells.size.cells, extended.shape[1])
    for slot, cell in enumerate(cells.of_pixels().flatten(1)):
        part = (weight[:, slot, None] * extended).flatten(2)  # (B, C+1, HW)
        total = total.index_add(1, cell, part.transpose(1, 2))
    return total[..., :-1], total[..., -1:]


@fused_by(fused.local_mass)
def local_mass(weight: Tensor, cells: Cells) -> Tensor:
    """Sum of the weights of each superpixel: (B, N)."""
    total = weight.new_zeros(len(weight), cells.size.cells)
    return total.index_add(1, cells.of_pixels().flatten(), weight.flatten(1))


@fused_by(fused.local_mixture)
def local_mixture(weight: Tensor, cells: Cells, nodes: Tensor) -> Tensor:
    """Every pixel's mixture of ``nodes``: (B, C, H, W)."""
    mixed = nodes.new_zeros(len(nodes), nodes.shape[2], *weight.shape[2:])
    for slot, cell in enumerate(cells.of_pixels()):
        mixed = mixed + weight[:, slot, None] * nodes[:, cell].permute(0, 3, 1, 2)
    return mixed


@fused_by(fused.local_soft_image)
def local_soft_image(weight: Tensor, cells: Cells, image: Tensor) -> Tensor:
    """Every pixel's mixture of the means of ``image`` under its superpixels: (B, C, H, W)."""
    total, mass = local_sums(weight, cells, image)
    return local_mixture(weight, cells, total * inverse_mass(mass))


@fused_by(fused.local_changes)
def local_changes(weight: Tensor, cells: Cells) -> Tensor:
    """L1 norms over all superpixels of the forward differences, as of the dense form.

    Returns:
        (B, 2, H, W): along the width, then along the height; zero where there is no next pixel.
    """
    cell = cells.of_pixels().masked_fill(~cells.open_slots(), -1)  # (9, H, W)
    along_x = _change(weight[..., :-1], cell[..., :-1], weight[..., 1:], cell[..., 1:])
    along_y = _change(weight[..., :-1, :], cell[:, :-1], weight[..., 1:, :], cell[:, 1:])
    return torch.stack([F.pad(along_x, (0, 1)), F.pad(along_y, (0, 0, 0, 1))], 1)


def _change(first: Tensor, first_cell: Tensor, then: Tensor, then_cell: Tensor) -> Tensor:
    """Sum of ``|first - then|`` over the cells of either pixel: (B, h, w)."""
    change, alone = torch.zeros_like(first[:, 0]), then
    for share, cell in zip(first.unbind(1), first_cell, strict=True):
        common = (cell == then_cell) & (cell >= 0)  # (9, h, w)
        change = change + (share - (then * common).sum(1)).abs()
        alone = alone * ~common
    return change + alone.abs().sum(1)
