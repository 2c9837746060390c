"""Attention in raster orders: formula, causality, and its place in the AC head."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sgseg.models import ACHead
from sgseg.models.layers import RasterAttention
from sgseg.ops.raster import visiting_rank


def layer() -> RasterAttention:
    torch.manual_seed(0)
    return RasterAttention(8).double()


def image() -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randn(2, 8, 3, 4, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("order", range(9))
def test_formula(order: int) -> None:
    """Weighted means over the visited pixels, weights from a softmax over them alone."""
    attention, x = layer(), image()
    projected = attention.project(x).flatten(2)
    q, k, v = projected.split([1, 1, 4], 1)
    rank = visiting_rank(order, 3, 4).flatten() if order else torch.zeros(12)
    gathered = torch.zeros(2, 4, 12, dtype=torch.float64)
    for b in range(2):
        for p in range(12):
            seen = [o for o in range(12) if rank[o] <= rank[p]]
            scores = [math.exp((q[b, :, p] * k[b, :, o]).sum().item()) for o in seen]  # d = 1
            for score, o in zip(scores, seen, strict=True):
                gathered[b, :, p] += score / sum(scores) * v[b, :, o]
    expected = attention.join(torch.cat([x, gathered.view(2, 4, 3, 4)], 1))
    torch.testing.assert_close(attention(x, order), expected)


@pytest.mark.parametrize("order", range(1, 9))
def test_causality(order: int) -> None:
    """By autograd no pixel depends on one that is visited later, and some do on the first."""
    x = image()[:1]
    slopes = torch.autograd.functional.jacobian(lambda v: layer()(v, order), x)
    seen = slopes.abs().sum((0, 1, 4, 5)).view(12, 12) > 0
    rank = visiting_rank(order, 3, 4).flatten()
    assert torch.equal(seen, rank[None, :] <= rank[:, None])


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("size", [(2, 2), (9, 7), (16, 16)])
def test_head_with_attention(stride: int, size: tuple[int, int]) -> None:
    """AC's options keep the head's promises at any size, and no image is reconstructed."""
    head = ACHead(
        3, 4, image_channels=0, base_channels=2, output_stride=stride, attention=True
    ).eval()
    view = head(torch.rand(2, 3, *size), 3)
    assert view.probability.shape == (2, 4, *size)
    assert view.reconstruction.shape == (2, 0, *size)
    torch.testing.assert_close(view.probability.sum(1), torch.ones(2, *size))


def test_output_stride_is_the_grid_of_the_blocks() -> None:
    """At stride 4 the blocks see a quarter of the rows."""
    for stride in (2, 4):
        head = ACHead(3, 4, base_channels=2, output_stride=stride)
        assert head.stem(torch.rand(1, 3, 32, 32)).shape[2:] == (32 // stride, 32 // stride)


def test_other_strides_are_refused() -> None:
    """AC has two and four."""
    with pytest.raises(ValueError, match="choose 2 or 4"):
        ACHead(3, 4, output_stride=3)
