r"""Differentiable SLIC: every pixel chooses among the nine cells around the one it lies in.

.. math:: P_{p,s} \propto \exp\big(-\tfrac1T \|f_p - \mu_s\|^2\big), \qquad
          \mu_s = \sum_p P_{p,s} f_p \Big/ \sum_p P_{p,s}

in turn, for some rounds, from the cells' own means.

Shapes: features (B, C, H, W), nodes (B, N, C), scores and weights (B, 9, H, W).
Source: Jampani et al., Superpixel Sampling Networks (ECCV 2018).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .fused.local_rounds import CellBlocks
from .local_assignment import OWN, SLOTS, Cells
from .precision import full_precision, inverse_mass


class Form(Protocol):
    """Weights of nine cells a pixel, in whichever order suits the arithmetic."""

    def start(self) -> Tensor:
        """Means of the features over the cells: (B, N, C)."""

    def share(self, values: Tensor) -> Tensor:
        """Softmax over the nine."""

    def scores(self, nodes: Tensor, temperature: float) -> Tensor:
        """Minus the squared distance to the nine nodes over T, up to a constant of the pixel."""

    def pool(self, weight: Tensor) -> Tensor:
        """Means of the features under the weights: (B, N, C)."""

    def image(self, values: Tensor) -> Tensor:
        """As a :class:`LocalAssignment` has them: (B, 9, H, W)."""


class PlainForm:
    """All slots of whole images at once, for exports: few operators, nine times the memory."""

    def __init__(self, features: Tensor, cells: Cells) -> None:
        self.features, self.cells = features, cells
        self.closed = ~cells.open_slots()  # (9, H, W)
        self.index = cells.of_pixels().flatten()  # (9HW,)
        ones = torch.ones_like(features[:, :1])
        self.counted = torch.cat([features, ones], 1)[:, :, None]  # (B, C+1, 1, H, W)

    def start(self) -> Tensor:
        """See :class:`Form`."""
        first = torch.zeros_like(self.features[:, :1]).repeat(1, SLOTS, 1, 1)
        first[:, OWN] = 1
        return self.pool(first)

    def share(self, values: Tensor) -> Tensor:
        """See :class:`Form`."""
        return values.softmax(1)

    def scores(self, nodes: Tensor, temperature: float) -> Tensor:
        """See :class:`Form`."""
        nine = nodes.mT.index_select(2, self.index)  # (B, C, 9HW)
        nine = nine.unflatten(2, (SLOTS, *self.features.shape[2:]))
        near = (nine * (2 * self.features[:, :, None] - nine)).sum(1) / temperature
        return near.masked_fill(self.closed, -1e9)

    def pool(self, weight: Tensor) -> Tensor:
        """See :class:`Form`."""
        parts = (self.counted * weight[:, None]).flatten(2)  # (B, C+1, 9HW)
        total = parts.new_zeros(*parts.shape[:2], self.cells.size.cells)
        total = total.index_add(2, self.index, parts).mT  # (B, N, C+1)
        return total[..., :-1] * inverse_mass(total[..., -1:])

    def image(self, values: Tensor) -> Tensor:
        """See :class:`Form`."""
        return values


@full_precision
def local_slic(features: Tensor, cells: Cells, rounds: int, temperature: float) -> Tensor:
    """Scores of the nine cells after some rounds; their softmax is P.

    Args:
        features: (B, C, H, W), place among them, in units in which cells lie 1 apart.
        cells: the grid of N cells on H x W.
        rounds: number of assignments, at least 1.
        temperature: T, > 0.

    Returns:
        (B, 9, H, W), very low where a cell does not exist.
    """
    plainly = torch.compiler.is_compiling()  # H and W may be left open
    form: Form = (PlainForm if plainly else CellBlocks)(features, cells)
    values = form.scores(form.start(), temperature)
    for _ in range(rounds - 1):
        values = form.scores(form.pool(form.share(values)), temperature)
    return form.image(values)
