"""Neighbours and directions on the superpixel graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops.graph import edge_directions, gather_neighbours, knn


def nodes(batch: int = 2, count: int = 9, channels: int = 3, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, channels, generator=g, dtype=torch.float64)


def brute_force(x: Tensor, k: int) -> np.ndarray:
    """Sort all other nodes by distance."""
    points = x.numpy()
    out = np.zeros((*points.shape[:2], k), int)
    for b, cloud in enumerate(points):
        for i, point in enumerate(cloud):
            others = [j for j in range(len(cloud)) if j != i]
            others.sort(key=lambda j, p=point, c=cloud: float(((p - c[j]) ** 2).sum()))
            out[b, i] = others[:k]
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count, k", [(2, 1), (9, 1), (9, 4), (9, 8), (40, 20)])
def test_knn_is_brute_force(count: int, k: int, dtype: torch.dtype) -> None:
    """The k nearest other nodes, nearest first, also in float32 and past 25 nodes."""
    x = nodes(count=count).to(dtype)
    found = knn(x, k)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), brute_force(x.double(), k))


@pytest.mark.parametrize("coincident", [False, True])
def test_knn_excludes_the_node_itself(coincident: bool) -> None:
    """A node is never its own neighbour and no neighbour comes twice, even if all coincide."""
    x = torch.zeros(2, 30, 3) if coincident else nodes(count=30)
    found = knn(x, 5)
    own = torch.arange(30)[None, :, None]
    assert (found != own).all() and found.min() >= 0 and found.max() < 30
    assert all(len(set(row.tolist())) == 5 for row in found.flatten(0, 1))


def test_knn_stays_inside_its_image() -> None:
    """The other images of a batch do not change an image's graph."""
    x = nodes()
    x[1] = x[0] + 1e-3 * nodes(seed=1)[1]  # nearer to each other across than within images
    alone = torch.cat([knn(x[b : b + 1], 3) for b in range(2)])
    torch.testing.assert_close(knn(x, 3), alone)


@pytest.mark.parametrize("count", [12, 60])
def test_large_common_offset_does_not_change_neighbours(count: int) -> None:
    """Nodes around a common mean of 1e3 keep their float32 neighbours."""
    x = (nodes(count=count, channels=8) * 1024).round() / 1024  # exact in float32 at 1e3
    expected = brute_force(x, 4)
    np.testing.assert_array_equal(knn((x + 1000).float(), 4).numpy(), expected)


def test_scaling_does_not_change_neighbours() -> None:
    """Nodes that differ by as little as 1e-4 have the neighbours of their enlarged copy."""
    x = nodes(count=40)
    torch.testing.assert_close(knn((1e-4 * x).float(), 6), knn(x, 6))


def test_knn_has_no_gradient() -> None:
    """The choice of neighbours stays out of the autograd graph."""
    assert not knn(nodes().requires_grad_(), 2).requires_grad


@pytest.mark.parametrize("k", [-1, 0, 9, 10])
def test_knn_refuses_k_that_does_not_fit(k: int) -> None:
    """The message says k, the number of nodes and the range that works."""
    with pytest.raises(ValueError, match=rf"k = {k} with 9 nodes.*1\.\.8"):
        knn(nodes(), k)


def test_gather_neighbours() -> None:
    """Each edge gets the features of the node it points to, within its image."""
    x, chosen = nodes(), torch.randint(9, (2, 9, 4), generator=torch.Generator().manual_seed(0))
    found = gather_neighbours(x, chosen)
    for b in range(2):
        for i in range(9):
            for e in range(4):
                assert torch.equal(found[b, i, e], x[b, chosen[b, i, e]])


def test_directions_point_from_the_neighbour_to_the_node() -> None:
    """The direction is the offset node minus neighbour, at length one."""
    positions = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, -2.0]]])
    chosen = torch.tensor([[[1, 2], [0, 2], [0, 1]]])
    expected = [
        [[-0.6, -0.8], [0.0, 1.0]],
        [[0.6, 0.8], [3 / 45**0.5, 6 / 45**0.5]],
        [[0.0, -1.0], [-3 / 45**0.5, -6 / 45**0.5]],
    ]
    torch.testing.assert_close(edge_directions(positions, chosen), torch.tensor([expected]))


@pytest.mark.parametrize("scale, shift", [(1.0, 7.0), (0.01, 0.0), (128.0, -3.0)])
def test_directions_ignore_shift_and_scale(scale: float, shift: float) -> None:
    """It does not matter in which unit or from which corner positions are measured."""
    positions = nodes(channels=2)
    chosen = knn(positions, 4)
    expected = edge_directions(positions, chosen)
    found = edge_directions(scale * positions + shift, chosen)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_directions_of_a_linear_field() -> None:
    """For F = a x + b y the derivatives of Eq 16 are (a dx + b dy) dx / D and (...) dy / D."""
    a, b = 1.5, -0.7
    positions = nodes(channels=2)
    chosen = knn(positions, 4)
    field = positions @ torch.tensor([a, b]).double()  # (B, N)
    change = field[..., None] - gather_neighbours(field[..., None], chosen)[..., 0]
    found = change[..., None] * edge_directions(positions, chosen)
    d = (positions[:, :, None] - gather_neighbours(positions, chosen)).unbind(-1)
    slope = (a * d[0] + b * d[1]) / (d[0] ** 2 + d[1] ** 2).sqrt()
    torch.testing.assert_close(found, torch.stack([slope * d[0], slope * d[1]], -1))


def test_coincident_nodes_have_zero_direction() -> None:
    """Nodes at one place give zero and finite gradients instead of 0/0, in float32 too."""
    positions = torch.zeros(1, 4, 2, requires_grad=True)
    found = edge_directions(positions, knn(torch.zeros(1, 4, 2), 3))
    found.sum().backward()
    assert (found == 0).all()
    assert positions.grad is not None and positions.grad.isfinite().all()


@pytest.mark.parametrize("distance", [1e-12, 1e-7, 1e-3, 1.0])
def test_directions_are_never_longer_than_one(distance: float) -> None:
    """However near two nodes are, the derivative factor stays bounded."""
    positions = torch.tensor([[[0.0, 0.0], [distance, distance]]])
    length = edge_directions(positions, torch.tensor([[[1], [0]]])).norm(dim=3)
    assert (length <= 1 + 1e-6).all()


@pytest.mark.parametrize("coincident", [False, True])
def test_gradients_of_directions(coincident: bool) -> None:
    """Gradients by the positions are right, between coincident nodes too."""
    positions = nodes(1, 5, 2)
    if coincident:
        positions[:, 1:3] = positions[:, :1]
    chosen = knn(nodes(1, 5, 2), 4)
    assert gradcheck(lambda p: edge_directions(p, chosen, eps=0.1), (positions.requires_grad_(),))


def test_gradients_of_gather() -> None:
    """Gradients flow back to the neighbours, summed where one is chosen often."""
    x, chosen = nodes(1, 5, 2).requires_grad_(), torch.tensor([[[1, 2], [0, 0], [1, 3], [1, 1]]])
    assert gradcheck(lambda v: gather_neighbours(v, chosen), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_widened(dtype: torch.dtype) -> None:
    """Under autocast distances and directions are taken in float32."""
    x = nodes().to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        chosen = knn(x, 3)
        directions = edge_directions(x[..., :2], chosen)
    torch.testing.assert_close(chosen, knn(x.float(), 3))
    assert directions.dtype == torch.float32 and directions.isfinite().all()
