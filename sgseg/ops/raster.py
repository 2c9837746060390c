"""The eight raster-scan orders of an autoregressive convolution: which taps see the past.

An order visits line after line (rows or columns) and runs along each line. Order 0 is no order:
all nine taps, used at inference. The weights stay in place in every order; only the mask and the
side of the padding change. Source: section 3.5 of the paper, after AC (Ouali et al., ECCV 2020).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NUM_ORDERS = 8


class RasterOrder(NamedTuple):
    """One scan: lines are ``rows`` (or columns), taken ``forward`` and run through ``along``."""

    rows: bool
    forward: bool
    """Lines are taken downwards (rows) or rightwards (columns)."""
    along: bool
    """Within a line pixels are taken rightwards (rows) or downwards (columns)."""


RASTER_ORDERS: dict[int, RasterOrder] = {
    1: RasterOrder(rows=True, forward=True, along=True),
    2: RasterOrder(rows=False, forward=True, along=True),
    3: RasterOrder(rows=True, forward=True, along=False),
    4: RasterOrder(rows=False, forward=False, along=True),
    5: RasterOrder(rows=False, forward=True, along=False),
    6: RasterOrder(rows=True, forward=False, along=True),
    7: RasterOrder(rows=True, forward=False, along=False),
    8: RasterOrder(rows=False, forward=False, along=False),
}


def raster_order(order: int) -> RasterOrder:
    """The scan of number ``order`` (1..8); ValueError for any other number."""
    if order not in RASTER_ORDERS:
        raise ValueError(
            f"raster order {order!r}: choose 1..{NUM_ORDERS}, or 0 for the unmasked reading"
        )
    return RASTER_ORDERS[order]


def raster_mask(order: int, shift: bool = True, include_centre: bool = True) -> Tensor:
    """Live taps of a 3x3 kernel in one order.

    Args:
        order: 0..8.
        shift: the kernel covers the current line and the two before it, so only the taps behind
            the current pixel on its own line are dead; without it the kernel is centred and the
            whole next line is dead as well (PixelCNN).
        include_centre: whether a pixel sees itself.

    Returns:
        (3, 3) bool; all true for order 0.
    """
    mask = torch.ones(3, 3, dtype=torch.bool)
    if order == 0:
        return mask
    scan = raster_order(order)
    # Written for rows taken downwards and rightwards, then turned into the asked order.
    current = 2 if shift else 1
    mask[current + 1 :] = False
    mask[current, 2] = False
    mask[current, 1] = include_centre
    if not scan.along:
        mask = mask.flip(1)
    if not scan.forward:
        mask = mask.flip(0)
    return mask if scan.rows else mask.T.contiguous()


def raster_padding(order: int, shift: bool = True) -> tuple[int, int, int, int]:
    """Zero padding (left, right, top, bottom) that keeps the size and puts the kernel in place."""
    scan = None if order == 0 else raster_order(order)
    if scan is None or not shift:
        return (1, 1, 1, 1)
    lines = (2, 0) if scan.forward else (0, 2)
    return (1, 1, *lines) if scan.rows else (*lines, 1, 1)


def visiting_rank(order: int, height: int, width: int) -> Tensor:
    """When each pixel is visited: (H, W) int64, 0 first; order must be 1..8."""
    scan = raster_order(order)
    lines, length = (height, width) if scan.rows else (width, height)
    rank = torch.arange(lines * length).view(lines, length)
    if not scan.along:
        rank = rank.flip(1)
    if not scan.forward:
        rank = rank.flip(0)
    return rank if scan.rows else rank.T.contiguous()
