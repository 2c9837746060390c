"""Edges reduced without being kept have the values and gradients of the written-out edges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops import edges
from sgseg.ops.graph import gather_neighbours

B, N, K, C = 3, 7, 4, 5
Given = tuple[Tensor, Tensor, Tensor | None, Tensor]
forms = pytest.mark.parametrize("parts", [0, 1, 2, 3], ids=lambda p: f"P={p}")


def given(parts: int, seed: int = 0) -> Given:
    """Inputs in float64; ``parts`` 0 is the form without directions."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    directions = draw(B, N, K, parts) if parts else None
    neighbours = torch.randint(N, (B, N, K), generator=g)
    return draw(B, N, C), draw(B, N, max(parts, 1) * C), directions, neighbours


def written_out(own: Tensor, slopes: Tensor, directions: Tensor | None, near: Tensor) -> Tensor:
    """All edges, (B, N, k, C), as the module's equation has them."""
    other = gather_neighbours(slopes, near)
    if directions is None:
        return own[:, :, None] - other
    change = slopes[:, :, None] - other
    parts = directions.shape[3]
    each = change.chunk(parts, 3)
    return own[:, :, None] + sum(each[p] * directions[..., p : p + 1] for p in range(parts))


def gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype)
    return list(torch.autograd.grad((out * weight).sum(), inputs))


def same(ours: Callable[..., Tensor], plain: Callable[..., Tensor], *args: Tensor | None) -> None:
    """Equal values and equal gradients of every input that has one."""
    wanted = [t for t in args if t is not None and t.requires_grad]
    found, expected = ours(*args), plain(*args)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, wanted), gradients(expected, wanted))


@pytest.fixture(params=[1, 2 * N * K * C, 10**6], ids=["one", "two", "all"])
def images_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges are made for one image, two of the three, or all at a time."""
    monkeypatch.setitem(edges.CHUNK, "cpu", request.param)


@forms
@pytest.mark.usefixtures("images_at_once")
def test_largest_mean_and_variance(parts: int) -> None:
    """Each of the three is that of the written-out edges, and so are its gradients."""
    inputs = given(parts)
    same(lambda *a: edges.edge_moments(*a).largest, lambda *a: written_out(*a).amax(2), *inputs)
    same(
        lambda *a: edges.edge_moments(*a).mean, lambda *a: written_out(*a).mean((0, 1, 2)), *inputs
    )
    same(
        lambda *a: edges.edge_moments(*a).variance,
        lambda *a: written_out(*a).var((0, 1, 2), correction=0),
        *inputs,
    )
    with torch.no_grad():
        torch.testing.assert_close(edges.largest_edge(*inputs), written_out(*inputs).amax(2))


@forms
@pytest.mark.usefixtures("images_at_once")
def test_mean_of_relu(parts: int) -> None:
    """The mean of rectified edges, and the gradients of gain and offset too."""
    scale = torch.linspace(-1, 1, C, dtype=torch.float64).requires_grad_()
    shift = torch.linspace(0.5, -0.5, C, dtype=torch.float64).requires_grad_()
    same(
        edges.mean_of_relu,
        lambda *a: torch.relu(written_out(*a[:4]) * a[4] + a[5]).mean(2),
        *given(parts),
        scale,
        shift,
    )
    with torch.no_grad():
        torch.testing.assert_close(
            edges.mean_of_relu(*given(parts), scale, shift),
            torch.relu(written_out(*given(parts)) * scale + shift).mean(2),
        )


@pytest.mark.parametrize("parts", [0, 2])
def test_gradients_by_finite_differences(parts: int) -> None:
    """All outputs together, against finite differences."""
    own, slopes, directions, near = given(parts)
    assert gradcheck(lambda *a: tuple(edges.edge_moments(*a, near)), (own, slopes, directions))
    scale, shift = torch.rand(2, C, dtype=torch.float64).requires_grad_().unbind()
    assert gradcheck(
        lambda s, t, *a: edges.mean_of_relu(*a, near, s, t),
        (scale, shift, own, slopes, directions),
    )


def test_equal_edges_share_the_gradient() -> None:
    """As amax has it: a neighbour named twice, or two equal ones, get the same in all."""
    own, slopes, directions, near = given(2)
    near = near[:, :, :1].expand(-1, -1, K).contiguous()
    directions = directions[:, :, :1].detach().expand(-1, -1, K, -1).contiguous().requires_grad_()
    same(
        lambda *a: edges.edge_moments(*a).largest,
        lambda *a: written_out(*a).amax(2),
        *(own, slopes, directions, near),
    )


def test_variance_far_from_zero() -> None:
    """Edges around 1e4 in float32 keep the variance that squares of 1e8 would drown."""
    own, slopes, _, near = given(0)
    found = edges.edge_moments(own.float() + 1e4, slopes.float(), None, near).variance
    expected = written_out(own, slopes, None, near).var((0, 1, 2), correction=0).float()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)
