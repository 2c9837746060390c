"""The forward differences of Eq 10 and 17, made again in the backward pass instead of kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..precision import backward_pass
from .blocks import blocks


def norms_of(x: Tensor) -> Tensor:
    """L1 norms over the channels of the forward differences: (B, C, H, W) -> (B, 2, H, W).

    The map is taken as one long row, because slicing columns would cost more than the differences.
    """
    batch, _, height, width = x.shape
    norms = x.new_zeros(batch, 2, height * width)
    for images, channels in blocks(x):
        rows = x[images, channels].flatten(2)  # (b, c, HW)
        norms[images, 0, :-1] += (rows[..., 1:] - rows[..., :-1]).abs_().sum(1)
        norms[images, 1, :-width] += (rows[..., width:] - rows[..., :-width]).abs_().sum(1)
    norms = norms.view(batch, 2, height, width)
    norms[:, 0, :, -1] = 0  # these went from one row's end to the next row's start
    return norms


def slope_of(x: Tensor, by_norms: Tensor) -> Tensor:
    """Gradient by ``x`` for that by the norms, (B, 2, H, W): (B, C, H, W), contiguous."""
    width = x.shape[3]
    by_norms = by_norms.clone()
    by_norms[:, 0, :, -1] = 0
    by_norms = by_norms.flatten(2)  # (B, 2, HW)
    gradient = torch.empty_like(x, memory_format=torch.contiguous_format)
    for images, channels in blocks(x):
        rows = x[images, channels].flatten(2)  # (b, c, HW)
        out = gradient[images, channels].flatten(2)
        along = by_norms[images, 0:1, :-1]
        sign = (rows[..., 1:] - rows[..., :-1]).sign_()
        out[..., 0] = 0
        torch.mul(sign, along, out=out[..., 1:])
        out[..., :-1].addcmul_(sign, along, value=-1)
        along = by_norms[images, 1:2, :-width]
        sign = (rows[..., width:] - rows[..., :-width]).sign_()
        out[..., width:].addcmul_(sign, along)
        out[..., :-width].addcmul_(sign, along, value=-1)
    return gradient


class _Changes(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return norms_of(x)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, by_norms: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return slope_of(x, by_norms)


def changes(x: Tensor) -> Tensor:
    """See :func:`sgseg.ops.image.changes`."""
    return _Changes.apply(x)
