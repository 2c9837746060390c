r"""Superpixels of many sizes: neighbouring cells of a fine grid are joined, cheapest first, to N.

.. math:: c_{ab} = \frac{m_a m_b}{m_a + m_b} \|\mu_a - \mu_b\|^2
          \Big(\frac{\sqrt{\min(m_a, m_b)}}{l_{ab}}\Big)^{3/4}

with masses m, mean features mu and the length l of the common border in sides of pixels: by how
much the squared error grows (Ward), times how narrow their contact is. So superpixels are large
where the image is plain and small where there is much to tell apart. In a round two superpixels
are joined if neither has a cheaper neighbour, the cheapest of these pairs first, a twelfth of all.

Shapes: M cells, sums (B, M, C), mass (B, M, 1), labels (B, H, W), pairs (B, 4M).
Source: Ward, *Hierarchical Grouping to Optimize an Objective Function* (JASA 1963); the border and
the rounds are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .local_assignment import OWN, SLOTS, Cells
from .precision import full_precision, inverse_mass

ROUNDS = 16
"""A twelfth of the superpixels are joined in each where there are four cells to one."""
AHEAD = SLOTS - OWN - 1
"""Slots of cells that come after the own one: each pair of neighbours is in one of these."""
APART = 1e-3
"""Stands for the common border of cells without one, which are joined last."""


def border_lengths(labels: Tensor, cells: Cells) -> Tensor:
    """Sides of pixels between the pixels of each cell and of each of the four cells ahead of it.

    Args:
        labels: the cell that each pixel belongs to, (B, H, W) int64.
        cells: the grid.

    Returns:
        (B, 4M) float32.
    """
    ahead = cells.grid.around[:, OWN + 1 :]  # (M, 4)
    slot = torch.arange(AHEAD, device=labels.device)
    total = torch.zeros(labels.shape[0], ahead.numel(), device=labels.device)
    for here, there in (
        (labels[..., 1:], labels[..., :-1]),
        (labels[:, 1:], labels[:, :-1]),
    ):
        low, high = torch.minimum(here, there), torch.maximum(here, there)
        # Where there is no cell ahead, the cell itself stands, and low is never high's.
        found = (ahead[low] == high[..., None]) & (low != high)[..., None]  # (B, h, w, 4)
        pair = low[..., None] * AHEAD + slot
        total = total.scatter_add(1, pair.flatten(1), found.flatten(1).float())
    return total


@full_precision
@torch.no_grad()
def join_cells(sums: Tensor, mass: Tensor, lengths: Tensor, cells: Cells, number: int) -> Tensor:
    """The superpixel that each cell becomes part of.

    Args:
        sums: of the features over each cell, (B, M, C).
        mass: pixels of each cell, (B, M, 1).
        lengths: of :func:`border_lengths`, (B, 4M).
        cells: the grid of M cells.
        number: N superpixels, 1 <= N <= M.

    Returns:
        (B, M) int64, every number of 0..N-1 at least once, in the order of their first cells.
    """
    count = cells.size.cells
    cell = torch.arange(count, device=sums.device)
    # In no order that follows the image: where costs are equal, chains would be joined one by one.
    order = (torch.arange(AHEAD * count, device=sums.device) * 2654435761 % 2**32).argsort()
    first = (order // AHEAD, cells.grid.around[:, OWN + 1 :].flatten()[order])
    lengths = lengths[:, order]
    owner = cell.expand(sums.shape[0], -1)  # (B, M)
    for done in range(1, ROUNDS + 1):
        pair = first[0].expand_as(lengths), first[1].expand_as(lengths)
        low, high = (owner.gather(1, one) for one in pair)  # (B, 4M)
        low, high = torch.minimum(low, high), torch.maximum(low, high)
        cost = _costs(sums, mass, owner, low, high, _common(low * count + high, lengths))
        most = (owner == cell).sum(1, keepdim=True) - round(
            count * (number / count) ** (done / ROUNDS)
        )
        owner = _joined(owner, low, high, cost, most)
    numbered = (owner == cell).cumsum(1) - 1
    # Should rounds have been too few, what is left over is one superpixel with the last.
    return numbered.clamp(max=number - 1).gather(1, owner)


def _common(key: Tensor, lengths: Tensor) -> Tensor:
    """For each pair the sum of the lengths of all pairs of equal key: (B, 4M)."""
    key, order = key.sort(1)
    run = F.pad((key[:, 1:] != key[:, :-1]).long().cumsum(1), (1, 0))
    total = torch.zeros_like(lengths).scatter_add(1, run, lengths.gather(1, order))
    return torch.zeros_like(lengths).scatter(1, order, total.gather(1, run))


def _costs(
    sums: Tensor, mass: Tensor, owner: Tensor, low: Tensor, high: Tensor, common: Tensor
) -> Tensor:
    """The equation, for pairs of superpixels: (B, 4M); infinite within one."""
    index = owner[..., None]
    total = torch.zeros_like(sums).scatter_add(1, index.expand_as(sums), sums)
    mass = torch.zeros_like(mass).scatter_add(1, index, mass)
    mean = total * inverse_mass(mass)  # (B, M, C)
    apart = torch.zeros_like(common)
    for channel in mean.unbind(2):
        apart = apart + (channel.gather(1, low) - channel.gather(1, high)).square()
    a, b = mass[..., 0].gather(1, low), mass[..., 0].gather(1, high)
    ward = a * b * inverse_mass(a + b) * apart
    narrow = (torch.minimum(a, b).sqrt() / common.clamp(min=APART)).pow(0.75)
    return (ward * narrow).masked_fill(low == high, torch.inf)


def _joined(owner: Tensor, low: Tensor, high: Tensor, cost: Tensor, most: Tensor) -> Tensor:
    """Owners after the cheapest pairs, ``most`` (B, 1) at most, of mutual choice are joined."""
    count, pairs = owner.shape[1], cost.shape[1]
    order = cost.argsort(dim=1, stable=True)
    place = torch.arange(pairs, device=cost.device).expand_as(order)
    rank = torch.zeros_like(order).scatter(1, order, place)
    rank = rank.masked_fill(low == high, pairs)
    best = torch.full_like(owner, pairs)
    for end in (low, high):
        best = best.scatter_reduce(1, end, rank, "amin")
    mutual = (low != high) & (best.gather(1, low) == rank) & (best.gather(1, high) == rank)
    mutual = mutual.gather(1, order)
    mutual = mutual & (mutual.long().cumsum(1) <= most)
    low, high = low.gather(1, order), high.gather(1, order)
    # The others move a place of no superpixel onto itself.
    spare = torch.full_like(low, count)
    target = torch.arange(count + 1, device=owner.device).expand(owner.shape[0], -1)
    target = target.scatter(1, torch.where(mutual, high, spare), torch.where(mutual, low, spare))
    return target.gather(1, owner)
