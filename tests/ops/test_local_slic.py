"""Differentiable SLIC: against its equation written in loops, and its two forms against another."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops.fused.local_rounds import CellBlocks
from sgseg.ops.local_assignment import LocalAssignment, cells, slot_colours
from sgseg.ops.local_slic import PlainForm, Rounds, couplings, local_slic, of_neighbours

GRIDS = [(17, 23, 7), (12, 5, 13), (9, 30, 2), (8, 8, 64)]
"""Height, width, N: rows of unequal columns, more cells than a row of pixels, one row, all."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("grid", GRIDS)
def test_colours(grid: tuple[int, int, int]) -> None:
    """Nine different ones around every pixel, one for each cell wherever it is seen from."""
    layout = cells(*grid)
    colours = slot_colours(layout)
    assert (colours.sort(1).values == torch.arange(9)).all()
    around, exists = layout.grid.around, layout.grid.exists
    for cell in range(grid[2]):
        assert len(colours[exists & (around == cell)].unique()) == 1


@pytest.mark.parametrize("grid", GRIDS)
def test_forms_agree(grid: tuple[int, int, int]) -> None:
    """Cell by cell and slot by slot: scores, means, maps there and back."""
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
    torch.testing.assert_close(blocks.maps(blocks.share(scores)), plain.maps(share))
    torch.testing.assert_close(blocks.image(blocks.of_maps(plain.maps(share))), share)
    torch.testing.assert_close(plain.of_maps(plain.maps(share)), share)


def by_loops(features: Tensor, grid: tuple[int, int, int], rounds: int, t: float) -> Tensor:
    """The equation without neighbours: dense P (N, H, W) of one image (C, H, W)."""
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
    scores = local_slic(features, cells(*grid), Rounds(3, 0.7))
    found = LocalAssignment.of_scores(scores, cells(*grid)).dense()[0]
    torch.testing.assert_close(found, by_loops(features[0], grid, 3, 0.7))


def test_neighbours() -> None:
    """Four shifted maps; nothing comes from beyond the image, less across an edge."""
    image = torch.zeros(1, 1, 3, 4, dtype=torch.float64)
    image[..., 2:] = 2.0
    coupling = couplings(image, 1.0)
    maps = draw(1, 9, 3, 4)
    found = of_neighbours(maps, coupling)
    across = torch.tensor(-4.0).double().exp()
    expected = maps[0, :, 0, 0] + maps[0, :, 2, 0] + maps[0, :, 1, 1]
    torch.testing.assert_close(found[0, :, 1, 0], expected)
    expected = maps[0, :, 0, 0] + maps[0, :, 1, 1] + across * maps[0, :, 0, 2]
    torch.testing.assert_close(found[0, :, 0, 1], expected)


def test_neighbours_decide_a_speck() -> None:
    """A pixel of the wrong colour is taken back by what surrounds it, with coupling alone."""
    image = torch.zeros(1, 1, 12, 24)
    image[..., 12:] = 1.0
    image[0, 0, 6, 3] = 1.0
    grid = cells(12, 24, 2)
    place = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(24.0), indexing="ij"))
    features = torch.cat([place[None] / 24, image], 1)
    alone = local_slic(features, grid, Rounds(4, 0.02))
    joined = local_slic(features, grid, Rounds(4, 0.02, 1.0), torch.ones(1, 4, 12, 24))
    labels = [LocalAssignment.of_scores(x, grid).labels()[0] for x in (alone, joined)]
    assert labels[0][6, 3] == 1 and labels[1][6, 3] == 0
    assert (labels[1][:, :12] == 0).all() and (labels[1][:, 12:] == 1).all()


def test_gradient() -> None:
    """gradcheck through two coupled rounds."""
    grid = cells(2, 4, 3)
    features = draw(1, 2, 2, 4).requires_grad_()
    coupling = draw(1, 4, 2, 4, seed=1).abs().requires_grad_()

    def share(x: Tensor, y: Tensor) -> Tensor:
        return local_slic(x, grid, Rounds(2, 1.0, 0.3, 1, 2), y).softmax(1)

    assert gradcheck(share, (features, coupling))
