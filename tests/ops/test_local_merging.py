"""Joining cells to superpixels: lengths and costs against loops, and what comes of them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sgseg.ops.local_assignment import Cells, cells
from sgseg.ops.local_merging import border_lengths, join_cells


def joined(features: Tensor, grid: Cells, number: int) -> Tensor:
    """(B, M): owners, when pixels are in the cell that they lie in; features (B, C, H, W)."""
    own, count = grid.grid.own, grid.size.cells
    sums = torch.zeros(len(features), count, features.shape[1])
    sums = sums.index_add(1, own.flatten(), features.flatten(2).mT)
    mass = own.flatten().bincount().float().expand(len(features), -1)[..., None]
    lengths = border_lengths(own.expand(len(features), -1, -1), grid)
    return join_cells(sums, mass, lengths, grid, number)


def by_loops(labels: Tensor) -> dict[tuple[int, int], int]:
    """Sides of pixels between each two labels, the lower one first."""
    found: dict[tuple[int, int], int] = {}
    height, width = labels.shape
    for y, x in itertools.product(range(height), range(width)):
        for v, u in ((y, x + 1), (y + 1, x)):
            if v < height and u < width and labels[y, x] != labels[v, u]:
                pair = tuple(sorted((int(labels[y, x]), int(labels[v, u]))))
                found[pair] = found.get(pair, 0) + 1
    return found


@pytest.mark.parametrize("size", [(13, 17, 9), (9, 30, 8), (8, 8, 64)])
def test_border_lengths(size: tuple[int, int, int]) -> None:
    """Every side between two neighbouring cells is counted once."""
    grid = cells(*size)
    generator = torch.Generator().manual_seed(0)
    slot = torch.randint(9, (2, *size[:2]), generator=generator)
    labels = grid.grid.around[grid.grid.own, slot]
    found = border_lengths(labels, grid).view(2, -1, 4)
    around, exists = grid.grid.around, grid.grid.exists
    for image, owner in zip(found, labels, strict=True):
        expected = by_loops(owner)
        for cell in range(size[2]):
            for ahead in range(4):
                other = int(around[cell, 5 + ahead])
                there = bool(exists[cell, 5 + ahead])
                wanted = expected.get((cell, other), 0) if there else 0
                assert image[cell, ahead] == wanted


def test_the_cheapest_pair_goes_first() -> None:
    """One joining: of all neighbours, those at which the equation, in loops, is least."""
    grid = cells(20, 24, 20)
    x = torch.randn(3, 2, 20, 24, generator=torch.Generator().manual_seed(0))
    owner = joined(x, grid, 19)
    for image, found in zip(x, owner, strict=True):
        costs = {}
        for (a, b), length in by_loops(grid.grid.own).items():
            one, other = (image[:, grid.grid.own == cell] for cell in (a, b))
            m, n = one.shape[1], other.shape[1]
            far = (one.mean(1) - other.mean(1)).square().sum()
            costs[a, b] = float(m * n / (m + n) * far * (min(m, n) ** 0.5 / length) ** 0.75)
        a, b = min(costs, key=costs.__getitem__)
        assert found[a] == found[b] and len(found.unique()) == 19


@pytest.mark.parametrize("flat", [False, True])
def test_exactly_n_whatever_the_image(flat: bool) -> None:
    """Also of one colour, where all costs are equal; numbered in the order of first cells."""
    grid = cells(40, 56, 200)
    x = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    for number in (1, 2, 50, 199, 200):
        for owner in joined(0 * x if flat else x, grid, number):
            assert torch.equal(owner.unique(), torch.arange(number))
            first = [int((owner == one).nonzero()[0]) for one in range(number)]
            assert first == sorted(first)


def test_large_where_plain_small_where_there_is_much_to_tell_apart() -> None:
    """A plain half and one of squares, each a cell: the squares stay by themselves."""
    grid = cells(32, 64, 32)  # 4 x 8 of 8 x 8
    x = torch.zeros(1, 1, 32, 64)
    x[..., 32:] = 1 + torch.rand(
        1, 1, 4, 4, generator=torch.Generator().manual_seed(0)
    ).repeat_interleave(8, 2).repeat_interleave(8, 3)
    owner = joined(x, grid, 17)[0].view(4, 8)
    assert (owner[:, :4] == owner[0, 0]).all()
    assert len(owner[:, 4:].unique()) == 16
