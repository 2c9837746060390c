"""Both entropies of Eq 9 in one walk over P."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..precision import EPS, backward_pass
from .blocks import blocks


class _NegativeEntropyAndUsage(Function):
    """Sum of P log P over each image, and mean of P over its pixels: (B, N, H, W) -> (B,), (B, N).

    The logarithm is taken anew in the backward pass: that is cheaper than the memory to keep it.
    Below EPS the gradient is the one at EPS.
    """

    @staticmethod
    def forward(ctx: Any, assignment: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(assignment)
        total = assignment.new_zeros(len(assignment))
        usage = assignment.new_empty(assignment.shape[:2])
        for images, channels in blocks(assignment):
            rows = assignment[images, channels].flatten(2)  # (b, n, HW)
            usage[images, channels] = rows.mean(2)
            total[images] += rows.clamp_min(EPS).log_().mul_(rows).sum((1, 2))
        return total, usage

    @staticmethod
    @backward_pass
    def backward(ctx: Any, by_total: Tensor, by_usage: Tensor) -> Tensor:
        (assignment,) = ctx.saved_tensors
        gradient = torch.empty_like(assignment, memory_format=torch.contiguous_format)
        slope = by_total[:, None, None]  # (B, 1, 1)
        constant = by_usage[:, :, None] / assignment.shape[2:].numel() + slope  # (B, N, 1)
        for images, channels in blocks(assignment):
            rows = assignment[images, channels].flatten(2)  # (b, n, HW)
            out = gradient[images, channels].flatten(2)
            torch.clamp_min(rows, EPS, out=out).log_()
            out.mul_(slope[images]).add_(constant[images, channels])
        return gradient


def clustering_objective(assignment: Tensor, balance: float = 2.0) -> Tensor:
    """See :func:`sgseg.ops.information.clustering_objective`."""
    negative_entropy, usage = _NegativeEntropyAndUsage.apply(assignment)  # (B,), (B, N)
    pixels = assignment.shape[0] * assignment.shape[2:].numel()
    usage_entropy = -torch.xlogy(usage, usage.clamp_min(EPS)).sum(1)  # (B,)
    return -negative_entropy.sum() / pixels - balance * usage_entropy.mean()


def mean_entropy(share: Tensor) -> Tensor:
    """See :func:`sgseg.ops.information.mean_entropy`."""
    negative_entropy, _ = _NegativeEntropyAndUsage.apply(share)  # (B,)
    return -negative_entropy.sum() / (share.shape[0] * share.shape[2:].numel())
