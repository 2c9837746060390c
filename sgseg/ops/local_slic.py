r"""Differentiable SLIC: every pixel chooses among the nine cells around the one it lies in.

.. math:: P_{p,s} \propto \exp\Big(\tfrac1T \big(-\|f_p - \mu_s\|^2
          + \lambda \sum_q w_{pq} P_{q,s}\big)\Big), \qquad
          \mu_s = \sum_p P_{p,s} f_p \Big/ \sum_p P_{p,s}

in turn, for some rounds, from the cells' own means; q are the four neighbours of p. The sum over
neighbours joins in the last rounds only, once and again (mean field of a Potts model).

Shapes: features (B, C, H, W), nodes (B, N, C), scores and weights (B, 9, H, W), couplings
(B, 4, H, W). Source: Jampani et al., Superpixel Sampling Networks (ECCV 2018); the sum over
neighbours is ours.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .fused.local_rounds import CellBlocks
from .image import differences
from .local_assignment import OWN, SLOTS, Cells, slot_colours
from .local_forms import local_sums
from .precision import full_precision, inverse_mass


class Rounds(NamedTuple):
    """How pixels and cells' means are made to agree."""

    number: int = 12
    """Of assignments."""
    temperature: float = 0.016
    """T; distances between neighbouring cells are 1."""
    coupling: float = 0.0
    """lambda, in the units of a squared distance."""
    coupled: int = 3
    """Of the rounds, the last so many look at the neighbours."""
    sweeps: int = 3
    """Times that a coupled round looks at them."""


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

    def maps(self, values: Tensor) -> Tensor:
        """(B, 9, H, W) in which a superpixel has the same place at all of its pixels."""

    def of_maps(self, maps: Tensor) -> Tensor:
        """The inverse of :meth:`maps`."""

    def image(self, values: Tensor) -> Tensor:
        """As a :class:`LocalAssignment` has them: (B, 9, H, W)."""


class PlainForm:
    """Slot after slot on whole images, as an export writes it down."""

    def __init__(self, features: Tensor, cells: Cells) -> None:
        self.features, self.cells = features, cells
        colours = slot_colours(cells)  # (N, 9)
        self.colours = colours.t()[:, cells.grid.own]  # (9, H, W)
        self.slots = colours.argsort(1).t()[:, cells.grid.own]  # (9, H, W)

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
        found = []
        for cell in self.cells.of_pixels():
            node = nodes[:, cell].permute(0, 3, 1, 2)  # (B, C, H, W)
            found.append((node * (2 * self.features - node)).sum(1) / temperature)
        closed = ~self.cells.open_slots()
        return torch.stack(found, 1).masked_fill(closed, -1e9)

    def pool(self, weight: Tensor) -> Tensor:
        """See :class:`Form`."""
        sums, mass = local_sums(weight, self.cells, self.features)
        return sums * inverse_mass(mass)

    def maps(self, values: Tensor) -> Tensor:
        """See :class:`Form`."""
        return values.gather(1, self.slots.expand_as(values))

    def of_maps(self, maps: Tensor) -> Tensor:
        """See :class:`Form`."""
        return maps.gather(1, self.colours.expand_as(maps))

    def image(self, values: Tensor) -> Tensor:
        """See :class:`Form`."""
        return values


def couplings(image: Tensor, sigma: float) -> Tensor:
    r"""How much the four neighbours of a pixel count: :math:`e^{-\|I_p - I_q\|^2 / \sigma^2}`.

    Args:
        image: (B, C, H, W).
        sigma: difference at which it has fallen to 1/e, > 0.

    Returns:
        (B, 4, H, W): of the right, left, lower and upper neighbour; 0 beyond the image.
    """
    along_x, along_y = ((-d.square().sum(1) / sigma**2).exp() for d in differences(image))
    return torch.stack(
        [
            F.pad(along_x, (0, 1)),
            F.pad(along_x, (1, 0)),
            F.pad(along_y, (0, 0, 0, 1)),
            F.pad(along_y, (0, 0, 1, 0)),
        ],
        1,
    )


def of_neighbours(maps: Tensor, coupling: Tensor) -> Tensor:
    """Sum of the four neighbours' values, each by its coupling: (B, K, H, W)."""
    right, left, lower, upper = coupling[:, :, None].unbind(1)  # (B, 1, H, W) each
    total = F.pad(maps[..., 1:], (0, 1)) * right + F.pad(maps[..., :-1], (1, 0)) * left
    total = total + F.pad(maps[..., 1:, :], (0, 0, 0, 1)) * lower
    return total + F.pad(maps[..., :-1, :], (0, 0, 1, 0)) * upper


@full_precision
def local_slic(
    features: Tensor, cells: Cells, rounds: Rounds, coupling: Tensor | None = None
) -> Tensor:
    """Scores of the nine cells after some rounds; their softmax is P.

    Args:
        features: (B, C, H, W), place among them, in units in which cells lie 1 apart.
        cells: the grid of N cells on H x W.
        rounds: see :class:`Rounds`.
        coupling: (B, 4, H, W) of :func:`couplings`; needed where ``rounds.coupling`` is not 0.

    Returns:
        (B, 9, H, W), very low where a cell does not exist.
    """
    plainly = torch.compiler.is_compiling()  # H and W may be left open
    form: Form = (PlainForm if plainly else CellBlocks)(features, cells)
    values = form.scores(form.start(), rounds.temperature)
    for number in range(rounds.number):
        if number:
            nodes = form.pool(form.share(values))
            values = form.scores(nodes, rounds.temperature)
        if rounds.coupling and coupling is not None and number >= rounds.number - rounds.coupled:
            values = _swept(form, values, rounds, coupling)
    return form.image(values)


def _swept(form: Form, values: Tensor, rounds: Rounds, coupling: Tensor) -> Tensor:
    """The scores with what the neighbours chose."""
    unary = form.maps(values)  # (B, 9, H, W)
    total = unary
    strength = rounds.coupling / rounds.temperature
    for _ in range(rounds.sweeps):
        total = unary + strength * of_neighbours(total.softmax(1), coupling)
    return form.of_maps(total)
