"""Differentiable SLIC: against its equation written in loops, and its two forms against another."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops.fused.local_rounds import CellBlocks
from sgseg.ops.local_assignment import LocalAssignment, cells
from sgseg.ops.local_slic import PlainForm, local_slic

GRIDS = [(17, 23, 7), (12, 5, 13), (9, 30, 2), (8, 8, 64)]
"""Height, width, N: rows of unequal columns, more cells than a row of pixels, one row, all."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("grid", GRIDS)
def test_forms_agree(grid: tuple[int, int, int]) -> None:
    """Cell by cell and slot by slot: scores and means."""
    layout, features = cells(*grid), draw(2, 4, *grid[:2])
    plain, blocks = PlainForm(features, layout), CellBlocks(features, layout)
    nodes = plain.start()
    torch.testing.assert_close(blocks.start(), nodes)
    expected = plain.scores(nodes, 0.3)
    scores = blocks.scores(nodes, 0.3)
    open_slots = layout.open_slots().expand_as(expected)
    torch.testing.assert_close(blocks.image(scores)[open_slots], expected[open_slots])
    share = plain.share(expected)
    torch.testing.assert_close(blocks.pool(blocks.share(scores)), plain.pool(share))


def by_loops(features: Tensor, grid: tuple[int, int, int], rounds: int, t: float) -> Tensor:
    """The equation: dense P (N, H, W) of one image (C, H, W)."""
    height, width, count = grid
    layout = cells(*grid)
    share = torch.zeros(count, height, width, dtype=torch.float64)
    for y, x in itertools.product(range(height), range(width)):
        share[layout.grid.own[y, x], y, x] = 1
    for _ in range(rounds):
        mean = (share[:, None] * features).sum((2, 3)) / share.sum((1, 2))[:, None]
        share = torch.zeros_like(share)
        for y, x in itertools.product(range(height), range(width)):
            own = layout.grid.own[y, x]
            near = layout.grid.around[own][layout.grid.exists[own]]
            distance = (features[:, y, x] - mean[near]).square().sum(1)
            share[near, y, x] = (-distance / t).softmax(0)
    return share


def test_the_equation() -> None:
    """Three rounds, written in loops."""
    grid = (7, 9, 6)
    features = draw(1, 3, 7, 9)
    scores = local_slic(features, cells(*grid), 3, 0.7)
    found = LocalAssignment.of_scores(scores, cells(*grid)).dense()[0]
    torch.testing.assert_close(found, by_loops(features[0], grid, 3, 0.7))


def test_gradient() -> None:
    """gradcheck through two rounds."""
    grid = cells(2, 4, 3)
    features = draw(1, 2, 2, 4).requires_grad_()
    assert gradcheck(lambda x: local_slic(x, grid, 2, 1.0).softmax(1), (features,))
