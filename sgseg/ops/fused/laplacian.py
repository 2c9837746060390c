"""The Laplacian of Eq 13 by added rows and columns; torch's average pooling takes longer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..precision import backward_pass


def _threes(x: Tensor, dim: int, transposed: bool = False) -> Tensor:
    """Each entry and the two beside it along ``dim``, the border reflected; or its gradient."""
    last = x.shape[dim] - 1
    out = x.clone(memory_format=torch.contiguous_format)
    out.narrow(dim, 1, last).add_(x.narrow(dim, 0, last))
    out.narrow(dim, 0, last).add_(x.narrow(dim, 1, last))
    for end, beside in ((0, 1), (last, last - 1)):
        to, source = (beside, end) if transposed else (end, beside)
        out.select(dim, to).add_(x.select(dim, source))
    return out


class _Laplacian(Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        return _threes(_threes(image, 3), 2).sub_(image, alpha=9)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _threes(_threes(slope, 2, True), 3, True).sub_(slope, alpha=9)


def laplacian(image: Tensor) -> Tensor:
    """See :func:`sgseg.ops.image.laplacian`."""
    return _Laplacian.apply(image)
