"""What the equations on P are made of, for P with nine numbers a pixel.

Shapes: weight (B, 9, H, W), features (B, C, H, W), nodes (B, N, C).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import fused
from .fused import fused_by
from .local_assignment import Cells, LocalAssignment
from .precision import inverse_mass


@fused_by(fused.local_sums)
def local_sums(weight: Tensor, cells: Cells, features: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``features`` under each superpixel, by weight, and its mass.

    Returns:
        (B, N, C) and (B, N, 1).
    """
    extended = torch.cat([features, torch.ones_like(weight[:, :1])], 1)  # (B, C+1, H, W)
    total = extended.new_zeros(weight.shape[0], cells.size.cells, extended.shape[1])
    for slot, cell in enumerate(cells.of_pixels().flatten(1)):
        part = (weight[:, slot, None] * extended).flatten(2)  # (B, C+1, HW)
        total = total.index_add(1, cell, part.transpose(1, 2))
    return total[..., :-1], total[..., -1:]


@fused_by(fused.local_mass)
def local_mass(weight: Tensor, cells: Cells) -> Tensor:
    """Sum of the weights of each superpixel: (B, N)."""
    total = weight.new_zeros(weight.shape[0], cells.size.cells)
    return total.index_add(1, cells.of_pixels().flatten(), weight.flatten(1))


@fused_by(fused.local_mixture)
def local_mixture(weight: Tensor, cells: Cells, nodes: Tensor) -> Tensor:
    """Every pixel's mixture of ``nodes``: (B, C, H, W)."""
    mixed = nodes.new_zeros(nodes.shape[0], nodes.shape[2], *weight.shape[2:])
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
    cell = cells.of_pixels().masked_fill(~cells.open_slots(), -1)[None]  # (1, 9, H, W)
    along_x = _change(weight[..., :-1], cell[..., :-1], weight[..., 1:], cell[..., 1:])
    along_y = _change(weight[..., :-1, :], cell[..., :-1, :], weight[..., 1:, :], cell[..., 1:, :])
    return torch.stack([F.pad(along_x, (0, 1)), F.pad(along_y, (0, 0, 0, 1))], 1)


def joined_changes(assignment: LocalAssignment) -> Tensor:
    """The same of superpixels that are joined cells.

    Within a cell slots are compared with themselves, between two by the superpixels they stand for.
    """
    weight, cells = assignment.weight, assignment.cells
    pixels, owner = weight.flatten(2), assignment.of_slots()  # (B, 9, HW), (B, M, 9)
    cell, norms = cells.grid.own.flatten(), fused.changes(weight).flatten(2)  # (HW,), (B, 2, HW)
    along = []
    for norm, here, step in zip(
        norms.unbind(1), fused.border_pixels(cells), (1, cells.size.width), strict=True
    ):
        there = here + step
        change = _change(
            pixels[..., here], owner[:, cell[here]].mT, pixels[..., there], owner[:, cell[there]].mT
        )
        along.append(norm.index_copy(1, here, change))
    return torch.stack(along, 1).view(weight.shape[0], 2, *cells.size[:2])


def _change(first: Tensor, first_owner: Tensor, then: Tensor, then_owner: Tensor) -> Tensor:
    """Sum of ``|first - then|`` over the superpixels (B or 1, 9, ...) of either pixel: (B, ...)."""
    change, alone = torch.zeros_like(first[:, 0]), then
    for share, owner in zip(first.unbind(1), first_owner.unbind(1), strict=True):
        common = (owner[:, None] == then_owner) & (owner >= 0)[:, None]  # (B or 1, 9, ...)
        change = change + (share - (then * common).sum(1)).abs()
        alone = alone * ~common
    return change + alone.abs().sum(1)
