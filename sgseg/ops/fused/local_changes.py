"""The forward differences of Eq 10 for P of nine numbers a pixel.

Within a cell of the grid two pixels have the same nine superpixels, and their weights are compared
slot by slot. Where the next pixel lies in another cell, tables say which slots are the same one.

Shapes: weight (B, 9, H, W), norms (B, 2, H, W); M pairs of pixels in two cells.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from ..local_assignment import SLOTS, Cells, Size, cells, kept
from ..precision import backward_pass
from .changes import norms_of, slope_of


class Borders(NamedTuple):
    """Pairs of neighbours in two cells, along one axis; indices are into (9, H, W) flattened."""

    pixels: Tensor
    """The first pixel of each pair, of (H, W): (M,)."""
    first: Tensor
    """Its nine weights: (9M,)."""
    same: Tensor
    """Each one's superpixel among the next pixel's nine, any of them where it is none: (9M,)."""
    found: Tensor
    """Whether it is one of them: (9M,) bool."""
    alone: Tensor
    """Weights of the next pixel whose superpixel the first has not: (L,)."""
    pair: Tensor
    """The pair of each of these: (L,)."""


def _made(axis: int, size: Size) -> Borders:
    """Borders along the width (axis 1) or the height (axis 0)."""
    grid, area = cells(*size).grid, size.height * size.width
    number = torch.arange(area).view(size[:2])
    pixels, after = (number.narrow(axis, start, size[axis] - 1).flatten() for start in (0, 1))
    own = grid.own.flatten()
    apart = own[pixels] != own[after]
    pixels, after = pixels[apart], after[apart]  # (M,)
    around = grid.around.masked_fill(~grid.exists, -1)
    cell, other = around[own[pixels]].t(), around[own[after]].t()  # (9, M)
    same = (cell[:, None] == other[None]) & grid.exists[own[pixels]].t()[:, None]  # (9, 9, M)
    found, slot = same.max(1)  # (9, M)
    lone, pair = (grid.exists[own[after]].t() & ~same.any(0)).nonzero(as_tuple=True)  # (L,)
    return Borders(
        pixels,
        (torch.arange(SLOTS)[:, None] * area + pixels).flatten(),
        (slot * area + after).flatten(),
        found.flatten(),
        lone * area + after[pair],
        pair,
    )


_KEPT_BORDERS = kept(partial(_made, 1)), kept(partial(_made, 0))


def _borders(grid: Cells, device: torch.device) -> tuple[Borders, ...]:
    return tuple(kept_borders(grid.size, device) for kept_borders in _KEPT_BORDERS)


def _differences(weights: Tensor, borders: Borders) -> tuple[Tensor, Tensor]:
    """Of weights (B, 9HW): those of the first's superpixels (B, 9M), and the others (B, L)."""
    same = weights.index_select(1, borders.same).mul_(borders.found)
    difference = weights.index_select(1, borders.first).sub_(same)
    return difference, weights.index_select(1, borders.alone)


class _LocalChanges(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Cells) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.grid, norms = grid, norms_of(weight)
        for along, borders in enumerate(_borders(grid, weight.device)):
            difference, alone = _differences(weight.flatten(1), borders)
            change = difference.abs_().view(len(weight), SLOTS, -1).sum(1)  # (B, M)
            change.index_add_(1, borders.pair, alone.abs_())
            norms[:, along].flatten(1).index_copy_(1, borders.pixels, change)
        return norms

    @staticmethod
    @backward_pass
    def backward(ctx: Any, by_norms: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        within, both = by_norms.clone(), _borders(ctx.grid, weight.device)
        for along, borders in enumerate(both):
            within[:, along].flatten(1).index_fill_(1, borders.pixels, 0)
        gradient = slope_of(weight, within)
        flat = gradient.flatten(1)  # a view
        for along, borders in enumerate(both):
            difference, alone = _differences(weight.flatten(1), borders)
            by_change = by_norms[:, along].flatten(1).index_select(1, borders.pixels)  # (B, M)
            difference = difference.sign_().mul_(by_change.repeat(1, SLOTS))
            alone = alone.sign_().mul_(by_change.index_select(1, borders.pair))
            # Within each of these additions no weight has two that are not zero.
            for index, slope in (
                (borders.first, difference),
                (borders.same, -difference * borders.found),
                (borders.alone, alone),
            ):
                flat.scatter_add_(1, index.expand_as(slope), slope)
        return gradient, None


def border_pixels(grid: Cells) -> tuple[Tensor, ...]:
    """Pixels whose next one lies in another cell, of H x W, along the width and the height."""
    return tuple(borders.pixels for borders in _borders(grid, grid.grid.own.device))


def local_changes(weight: Tensor, cells: Cells) -> Tensor:
    """See :func:`sgseg.ops.local_forms.local_changes`."""
    return _LocalChanges.apply(weight, cells)
