"""P with nine numbers a pixel: its grid, and that it gives what its dense form gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops import hard_image, pool, project, soft_image
from sgseg.ops.fused import plain_forms
from sgseg.ops.image import changes, smoothness
from sgseg.ops.information import clustering_objective
from sgseg.ops.local_assignment import OWN, SLOTS, Assignment, LocalAssignment, cells
from sgseg.ops.superpixel import labels

B, C = 2, 3
GRIDS = [(12, 18, 10), (9, 7, 5), (6, 6, 2), (4, 5, 20), (11, 3, 7), (1, 9, 4)]
"""Height, width, N: rows of unequal columns, one row, two cells, a cell for each pixel."""
Draw = Callable[..., Tensor]


def draw(*shape: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def local(grid: tuple[int, int, int], scores: Tensor | None = None) -> LocalAssignment:
    height, width, count = grid
    if scores is None:
        scores = 2 * draw(B, SLOTS, height, width)
    return LocalAssignment.of_scores(scores, cells(height, width, count))


def test_every_number_of_cells_on_small_sizes() -> None:
    """Exactly N cells, none of them empty, each pixel's own fifth, the others once and in order."""
    for height, width in [(1, 9), (5, 5), (7, 3), (4, 8)]:
        for count in range(2, height * width + 1):
            grid = cells(height, width, count).grid
            numbers = torch.arange(count)
            assert torch.equal(grid.own.unique(), numbers)
            assert torch.equal(grid.around[:, OWN], numbers) and grid.exists[:, OWN].all()
            assert grid.around.min() >= 0 and grid.around.max() < count
            for around, exists in zip(grid.around, grid.exists, strict=True):
                assert (around[exists].diff() > 0).all()


@pytest.mark.parametrize("grid", [(321, 481, 100), (481, 321, 400), (128, 128, 200)])
def test_cells_are_alike(grid: tuple[int, int, int]) -> None:
    """Areas differ by rounding alone, and no cell is twice as long as wide."""
    height, width, count = grid
    own = cells(*grid).grid.own
    area = own.flatten().bincount() * count / (height * width)
    assert area.min() > 0.87 and area.max() < 1.13
    row_ends = own[:, 0].unique(return_counts=True)[1]
    columns = torch.stack([line.unique_consecutive().numel() * torch.ones(1) for line in own])
    assert columns.max() - columns.min() <= 1
    shape = row_ends.float()[:, None] / (width / columns.unique()[None])
    assert shape.min() > 0.5 and shape.max() < 2


def test_neighbours_touch_in_a_plain_grid() -> None:
    """Rows of equal columns: the nine cells are those around, fewer at the border."""
    grid = cells(9, 12, 12).grid  # 3 x 4
    around, exists = grid.around, grid.exists
    assert grid.own[4, 4] == 5
    assert around[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10] and exists[5].all()
    assert around[0][exists[0]].tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("count", [1, 21])
def test_a_number_that_does_not_fit_is_refused(count: int) -> None:
    """The message has the size and the range."""
    with pytest.raises(ValueError, match=rf"{count} superpixels on 4 x 5 pixels.*2\.\.20"):
        cells(4, 5, count)


@pytest.mark.parametrize("grid", GRIDS)
def test_weights_are_a_distribution_over_cells_that_exist(grid: tuple[int, int, int]) -> None:
    """Sums are one, cells off the image get nothing, and so it is in the dense form."""
    P = local(grid)
    assert P.weight[:, ~P.cells.open_slots()].eq(0).all()
    dense = P.dense()
    assert dense.shape == P.shape == (B, grid[2], *grid[:2])
    torch.testing.assert_close(dense.sum(1), torch.ones_like(dense[:, 0]))
    assert (dense > 0).sum(1).max() <= SLOTS


@pytest.mark.parametrize("grid", GRIDS)
def test_labels_are_those_of_the_dense_form(grid: tuple[int, int, int]) -> None:
    """Ties too: the lowest number wins."""
    P = local(grid)
    assert torch.equal(labels(P), labels(P.dense()))
    tied = local(grid, torch.zeros_like(P.weight))
    assert torch.equal(labels(tied), labels(tied.dense()))


FUNCTIONS: dict[str, Callable[[Assignment, Tensor], Tensor]] = dict(
    pool=pool,
    project=project,
    soft_image=soft_image,
    smoothness=smoothness,
    changes=lambda P, _: changes(P),
    clustering=lambda P, _: clustering_objective(P),
)


def second(name: str, grid: tuple[int, int, int]) -> Tensor:
    """Nodes for ``project``, else an image."""
    shape = (grid[2], C) if name == "project" else (C, *grid[:2])
    return draw(B, *shape, seed=1)


def outcomes(P: Assignment, name: str, features: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Value and gradients."""
    value = FUNCTIONS[name](P, features)
    total = (value * draw(value.numel(), seed=2).view_as(value)).sum()
    slopes = torch.autograd.grad(total, leaves, retain_graph=True, materialize_grads=True)
    return [value, *slopes]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_the_dense_form(
    name: str, grid: tuple[int, int, int]
) -> None:
    """In float64, by the scores and by features or nodes; the plain forms' too."""
    scores = (2 * draw(B, SLOTS, *grid[:2])).requires_grad_()
    features = second(name, grid).requires_grad_()
    P = local(grid, scores)
    dense = outcomes(P.dense(), name, features, [scores, features])
    mine = outcomes(P, name, features, [scores, features])
    with plain_forms():
        plain = outcomes(P, name, features, [scores, features])
    for one, other, wanted in zip(mine, plain, dense, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(other, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("grid", [(12, 18, 10), (9, 7, 5), (11, 3, 7), (4, 5, 20)])
def test_joined_cells_give_what_the_dense_form_gives(grid: tuple[int, int, int]) -> None:
    """Four superpixels of any cells, also apart: sums of the dense form, values, gradients."""
    scores = (2 * draw(B, SLOTS, *grid[:2])).requires_grad_()
    owner = draw(B, grid[2], seed=3).argsort(1) % 4
    whole = local(grid, scores)
    P = whole.join(owner, 4)
    index = owner[:, :, None, None].expand(whole.shape)
    dense = torch.zeros(B, 4, *grid[:2]).double().scatter_add(1, index, whole.dense())
    assert P.shape == dense.shape
    torch.testing.assert_close(P.dense(), dense)
    assert torch.equal(labels(P), labels(dense))
    for name in FUNCTIONS:
        features = second(name, (*grid[:2], 4)).requires_grad_()
        mine, wanted = (outcomes(form, name, features, [scores, features]) for form in (P, dense))
        for one, other in zip(mine, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=name)
    x = draw(B, C, *grid[:2], seed=1)
    torch.testing.assert_close(hard_image(P, x), hard_image(dense, x))


@pytest.mark.parametrize("grid", GRIDS)
def test_ties_have_the_dense_forms_subgradient(grid: tuple[int, int, int]) -> None:
    """Neighbours of equal weights, and superpixels without any, pull in no direction."""
    weight = local(grid).weight.detach()
    weight = (2 * weight).round() / 2  # many equal, many zero
    slopes = []
    for form in (lambda P: P, LocalAssignment.dense):
        leaf = weight.clone().requires_grad_()
        P = form(LocalAssignment(leaf, cells(*grid)))
        slopes += torch.autograd.grad(smoothness(P, draw(B, C, *grid[:2])), leaf)
    inside = cells(*grid).open_slots()
    torch.testing.assert_close(*(slope[:, inside] for slope in slopes), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name: str) -> None:
    """By scores and by features or nodes, against finite differences."""
    grid = (2, 4, 4)
    scores = draw(1, SLOTS, *grid[:2]).requires_grad_()
    features = second(name, grid)[:1].requires_grad_()
    assert gradcheck(lambda s, f: FUNCTIONS[name](local(grid, s), f), (scores, features))


@pytest.mark.parametrize("grid", GRIDS)
def test_hard_image(grid: tuple[int, int, int]) -> None:
    """As in the dense form."""
    P, x = local(grid), draw(B, C, *grid[:2], seed=1)
    torch.testing.assert_close(hard_image(P, x), hard_image(P.dense(), x))


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"changes"}))
def test_half_precision_is_widened(name: str) -> None:
    """Under autocast as outside, in float32."""
    grid = (9, 7, 5)
    P, x = local(grid), second(name, grid).bfloat16()
    narrow = replace(P, weight=P.weight.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = FUNCTIONS[name](narrow, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, FUNCTIONS[name](narrow.float().dense(), x.float()))


def test_superpixels_without_mass_are_zero_nodes() -> None:
    """All weight on the first slot that exists: the others' nodes are zero, gradients finite."""
    scores = torch.zeros(1, SLOTS, 9, 7, dtype=torch.float64)
    scores[:, :OWN] = 800 * torch.arange(OWN, 0, -1).view(1, -1, 1, 1)
    scores.requires_grad_()
    nodes = pool(local((9, 7, 5), scores), draw(1, C, 9, 7))
    assert (nodes == 0).all(2).any()
    nodes.sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
