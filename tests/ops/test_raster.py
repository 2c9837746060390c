"""Raster orders and the autoregressive convolution: who sees whom."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgseg.models.layers import RasterConv2d
from sgseg.ops.raster import (
    NUM_ORDERS,
    raster_mask,
    raster_order,
    raster_padding,
    visiting_rank,
)

ORDERS = range(1, NUM_ORDERS + 1)
H, W = 4, 5


class Stack(nn.Module):
    """Three raster convolutions with 1x1 convolutions and ReLU in between, as in the head."""

    def __init__(self, shift: bool, include_centre: bool = True) -> None:
        super().__init__()
        self.raster = nn.ModuleList(RasterConv2d(2, 2, shift, include_centre) for _ in range(3))
        self.mix = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(3))

    def forward(self, x: Tensor, order: int) -> Tensor:
        for raster, mix in zip(self.raster, self.mix, strict=True):
            x = F.relu(mix(F.relu(raster(x, order)))) + x
        return x


def reach(function: nn.Module, order: int) -> Tensor:
    """(HW, HW) bool: whether output pixel p (row) depends on input pixel q (column)."""
    g = torch.Generator().manual_seed(order)
    function = function.double()
    for parameter in function.parameters():  # positive: nothing is cut off by ReLU or cancels
        parameter.data.copy_(torch.rand(parameter.shape, generator=g) + 0.1)
    x = torch.rand(1, 2, H, W, generator=g, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: function(v, order), x)
    return jacobian.abs().sum((0, 1, 4, 5)).view(H * W, H * W) > 0


def later(order: int) -> Tensor:
    """(HW, HW) bool: whether q (column) is visited after p (row)."""
    rank = visiting_rank(order, H, W).flatten()
    return rank[None, :] > rank[:, None]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
def test_no_pixel_sees_the_future(depth: int, shift: bool, order: int) -> None:
    """An output depends on no pixel visited later, by autograd, in one layer and in a stack."""
    module = RasterConv2d(2, 2, shift) if depth == 1 else Stack(shift)
    seen = reach(module, order)
    assert not (seen & later(order)).any()
    assert seen.diagonal().all()  # itself
    past = seen & later(order).T
    first = visiting_rank(order, H, W).flatten() == 0
    assert past[~first].any(1).all()  # and every pixel but the first sees some of the past


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", [True, False])
def test_without_centre_no_pixel_sees_itself(shift: bool, order: int) -> None:
    """Mask type A: strictly the past, as a first layer needs it."""
    seen = reach(RasterConv2d(2, 2, shift, include_centre=False), order)
    assert not seen.diagonal().any() and not (seen & later(order)).any()
    assert seen.any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", [True, False])
def test_window_is_the_lines_before(shift: bool, order: int) -> None:
    """A pixel sees two lines (one without shift) before its own, one pixel to each side."""
    scan = raster_order(order)
    seen = reach(RasterConv2d(2, 2, shift), order).view(H, W, H, W)
    back, ahead = (1 if scan.forward else -1), (1 if scan.along else -1)
    for i in range(H):
        for j in range(W):
            expected = torch.zeros(H, W, dtype=torch.bool)
            for line in range(3 if shift else 2):
                for side in (-1, 0, 1):
                    if line == 0 and side == 1:
                        continue  # ahead on its own line
                    di, dj = -line * back, side * ahead
                    di, dj = (di, dj) if scan.rows else (dj, di)
                    if 0 <= i + di < H and 0 <= j + dj < W:
                        expected[i + di, j + dj] = True
            assert torch.equal(seen[i, j], expected), (i, j)


def test_order_zero_sees_all_around() -> None:
    """The unmasked reading depends on the past and on the future."""
    seen = reach(RasterConv2d(2, 2), 0)
    for order in ORDERS:
        assert (seen & later(order)).any() and (seen & later(order).T).any()


@pytest.mark.parametrize("shift", [True, False])
def test_order_zero_is_the_plain_convolution(shift: bool) -> None:
    """Inference is an ordinary 3x3 convolution with the same weights."""
    layer = RasterConv2d(3, 4, shift)
    x = torch.randn(2, 3, H, W)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1))


@pytest.mark.parametrize("order", range(NUM_ORDERS + 1))
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (6, 5)])
def test_size_is_kept(size: tuple[int, int], shift: bool, order: int) -> None:
    """Padding and mask give an output of the input's size in every order."""
    assert RasterConv2d(2, 3, shift)(torch.zeros(1, 2, *size), order).shape == (1, 3, *size)
    assert sum(raster_padding(order, shift)) == 4


@pytest.mark.parametrize("order", range(NUM_ORDERS + 1))
@pytest.mark.parametrize("shift, centre, live", [(1, 1, 8), (1, 0, 7), (0, 1, 5), (0, 0, 4)])
def test_number_of_live_taps(shift: int, centre: int, live: int, order: int) -> None:
    """8 live taps with the shifted window, 5 with the centred one, one less without centre."""
    mask = raster_mask(order, bool(shift), bool(centre))
    assert mask.shape == (3, 3) and mask.dtype == torch.bool
    assert mask.sum().item() == (9 if order == 0 else live)


def test_orders_are_all_scans() -> None:
    """The eight orders start in four corners and leave each along the row and the column."""
    starts = set()
    for order in ORDERS:
        rank = visiting_rank(order, H, W)
        assert sorted(rank.flatten().tolist()) == list(range(H * W))
        first, second = ((rank == n).nonzero()[0].tolist() for n in (0, 1))
        assert first[0] in (0, H - 1) and first[1] in (0, W - 1)
        assert abs(first[0] - second[0]) + abs(first[1] - second[1]) == 1
        starts.add((*first, *second))
    assert len(starts) == NUM_ORDERS


@pytest.mark.parametrize(
    "order, first, second",
    [
        (1, (0, 0), (0, 1)),  # rows down, left to right
        (3, (0, W - 1), (0, W - 2)),  # rows down, right to left
        (6, (H - 1, 0), (H - 1, 1)),  # rows up, left to right
        (7, (H - 1, W - 1), (H - 1, W - 2)),  # rows up, right to left
    ],
)
def test_numbers_of_the_row_orders(
    order: int, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Orders 1, 3, 6, 7 are the row scans of the public re-implementation of AC."""
    rank = visiting_rank(order, H, W)
    assert rank[first] == 0 and rank[second] == 1


@pytest.mark.parametrize("order, column", [(2, 0), (5, 0), (4, W - 1), (8, W - 1)])
def test_numbers_of_the_column_orders(order: int, column: int) -> None:
    """Orders 2, 5 take columns rightwards, 4, 8 leftwards."""
    assert sorted(visiting_rank(order, H, W)[:, column].tolist()) == list(range(H))


@pytest.mark.parametrize("shift", [True, False])
def test_orders_read_differently(shift: bool) -> None:
    """No two orders, nor an order and the plain reading, give the same output."""
    torch.manual_seed(0)
    layer, x = RasterConv2d(2, 2, shift), torch.randn(1, 2, H, W)
    outputs = [layer(x, order) for order in range(NUM_ORDERS + 1)]
    for a, first in enumerate(outputs):
        for second in outputs[:a]:
            assert not torch.allclose(first, second)


def test_one_weight_serves_all_orders() -> None:
    """Orders add no parameters and no state to save."""
    layer = RasterConv2d(2, 3)
    assert [tuple(p.shape) for p in layer.parameters()] == [(3, 2, 3, 3)]
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize("order", [-1, 9, 100])
def test_unknown_order_is_refused(order: int) -> None:
    """The message names the orders there are."""
    with pytest.raises(ValueError, match=r"choose 1\.\.8, or 0"):
        raster_order(order)
    with pytest.raises(ValueError, match=r"choose 1\.\.8, or 0"):
        RasterConv2d(2, 2)(torch.zeros(1, 2, H, W), order)


@pytest.mark.parametrize("order", range(9))
def test_shifted_windows_are_the_default(order: int) -> None:
    """Of padding as of the layer: both would move the image against its features otherwise."""
    assert raster_padding(order) == raster_padding(order, shift=True)
    assert (raster_padding(order) != raster_padding(order, shift=False)) == (order > 0)
