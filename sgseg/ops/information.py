"""Entropies and mutual information of soft assignments.

Shapes: assignment (B, N, H, W); class probabilities p, q (B, K, H, W); joint (D, K, K), one
matrix per displacement. All values in nats. Source: Eq 9 and 18-19 of the paper; displacements
as in IIC (Ji et al., ICCV 2019).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .blocks import blocks
from .precision import EPS, backward_pass, full_precision

Size = tuple[int, int]
# Spectra of 8 images of 15 classes fit the last-level cache; more at a time took twice as long.
_IMAGES = 8


@full_precision
def entropy(probability: Tensor, dim: int | tuple[int, ...] = 1) -> Tensor:
    """Shannon entropy in nats along ``dim``; 0 log 0 = 0, with finite gradient."""
    return -torch.xlogy(probability, probability.clamp_min(EPS)).sum(dim)


class _Surety(Function):
    """Sum of P log P over each image and mean of P over its pixels, both parts of Eq 9 in one walk.

    (B, N, H, W) -> (B,), (B, N). The logarithm is taken anew for the backward pass: cheaper than
    the memory to keep it. Below EPS the gradient is the one at EPS.
    """

    @staticmethod
    def forward(ctx: Any, assignment: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(assignment)
        total = assignment.new_zeros(len(assignment))
        usage = assignment.new_empty(assignment.shape[:2])
        for some, channels in blocks(assignment):
            rows = assignment[some, channels].flatten(2)  # (b, n, HW)
            usage[some, channels] = rows.mean(2)
            total[some] += rows.clamp_min(EPS).log_().mul_(rows).sum((1, 2))
        return total, usage

    @staticmethod
    @backward_pass
    def backward(ctx: Any, by_total: Tensor, by_usage: Tensor) -> Tensor:
        (assignment,) = ctx.saved_tensors
        out = torch.empty_like(assignment, memory_format=torch.contiguous_format)
        slope = by_total[:, None, None]  # (B, 1, 1)
        constant = by_usage[:, :, None] / assignment.shape[2:].numel() + slope  # (B, N, 1)
        for some, channels in blocks(assignment):
            rows, found = assignment[some, channels].flatten(2), out[some, channels].flatten(2)
            torch.clamp_min(rows, EPS, out=found).log_()
            found.mul_(slope[some]).add_(constant[some, channels])
        return out


@full_precision
def clustering_objective(assignment: Tensor, balance: float = 2.0) -> Tensor:
    r"""Per-pixel entropy against the entropy of the superpixel weights (Eq 9).

    .. math:: \frac{1}{HW} \sum_{p,s} -P_{p,s} \log P_{p,s}
              + \lambda \sum_s \hat P_s \log \hat P_s, \quad \hat P_s = \tfrac{1}{HW} \sum_p P_{p,s}

    Args:
        assignment: P, (B, N, H, W).
        balance: lambda, the weight of uniform superpixel sizes.

    Returns:
        Scalar, the mean over the batch; (1 - lambda) log N for uniform P, -lambda log N for
        balanced one-hot P, which is its least value.
    """
    surety, usage = _Surety.apply(assignment)  # (B,), (B, N)
    pixels = assignment.shape[0] * assignment.shape[2:].numel()
    return -surety.sum() / pixels - balance * entropy(usage).mean()


def _fft_length(least: int) -> int:
    """The first length from ``least`` on without a prime factor above 7: FFTs do those fast."""
    rest = least
    for prime in (2, 3, 5, 7):
        while rest % prime == 0:
            rest //= prime
    return least if rest == 1 else _fft_length(least + 1)


def _spectrum(x: Tensor, size: Size) -> Tensor:
    """(b, K, H, W) -> (F, b, K): the F frequencies first, for a matrix product at each."""
    found = torch.fft.rfft2(x, s=size).flatten(2)  # (b, K, F)
    return found.flatten(0, 1).t().contiguous().unflatten(1, x.shape[:2])  # (F, b, K)


def _maps(spectrum: Tensor, size: Size) -> Tensor:
    """(F, b, K) -> (b, K, *size), the inverse of :func:`_spectrum`."""
    found = spectrum.flatten(1).t().contiguous()  # (bK, F)
    maps = torch.fft.irfft2(found.unflatten(1, (size[0], size[1] // 2 + 1)), s=size)
    return maps.unflatten(0, spectrum.shape[1:])  # (b, K, *size)


def _filtered(x: Tensor, product: Tensor, size: Size) -> Tensor:
    """(B, K, H, W): ``x``, its classes mixed by the (F, K, K) matrices at each frequency."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for few, found in zip(x.split(_IMAGES), out.split(_IMAGES), strict=True):
        maps = _maps(_spectrum(few, size) @ product, size)  # (b, K, *size)
        found.copy_(maps[..., : x.shape[2], : x.shape[3]])
    return out


class _Correlation(Function):
    """Sums of p[n, a, x] q[n, b, x + t] over images and pixels, in the frequency domain.

    (B, K, H, W) twice -> (K, K, 2T+1, 2T+1). Spectra of a few images at a time, and none is kept:
    to transform p and q anew takes less time than the product, and keeps nothing but them.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, q: Tensor, half_window: int) -> Tensor:
        ctx.save_for_backward(p, q)
        ctx.half_window, window = half_window, 2 * half_window + 1
        # Padding by T keeps the circular correlation from wrapping round within the window.
        size = ctx.size = (
            _fft_length(p.shape[2] + half_window),
            _fft_length(p.shape[3] + half_window),
        )
        cross = torch.zeros((), device=p.device)
        for p_few, q_few in zip(p.split(_IMAGES), q.split(_IMAGES), strict=True):
            cross = cross + _spectrum(p_few, size).mH @ _spectrum(q_few, size)  # (F, K, K)
        correlation = _maps(cross, size).roll((half_window, half_window), (2, 3))
        return correlation[:, :, :window, :window].contiguous()  # (K, K, 2T+1, 2T+1)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        p, q = ctx.saved_tensors
        pad_y, pad_x = (n - slope.shape[2] for n in ctx.size)
        padded = F.pad(slope, (0, pad_x, 0, pad_y))  # (K, K, *size)
        weight = _spectrum(padded.roll((-ctx.half_window,) * 2, (2, 3)), ctx.size)  # (F, K, K)
        found = [
            _filtered(other, product, ctx.size) if needed else None
            for other, product, needed in zip(
                (q, p), (weight.mH, weight), ctx.needs_input_grad[:2], strict=True
            )
        ]
        return found[0], found[1], None


@full_precision
def joint_counts(p: Tensor, q: Tensor, half_window: int = 0) -> Tensor:
    r"""Expected co-occurrences of classes between two readings, one matrix per displacement.

    .. math:: J_t[a, b] = \sum_{n, x} p_{n,a,x} \, q_{n,b,x+t}, \quad t \in \{-T..T\}^2

    Only pairs inside the image count. Computed in the frequency domain, exact up to rounding:
    the cost does not grow with the number of displacements.

    Args:
        p, q: (B, K, H, W).
        half_window: T, in pixels; 0 compares equal positions only.

    Returns:
        (D, K, K) with D = (2T + 1)^2, rows for p, columns for q, not normalised: sums over
        ranks or micro-batches stay sums.

    Raises:
        ValueError: if the shapes differ or T reaches the image's size.
    """
    if p.shape != q.shape or p.dim() != 4:
        raise ValueError(
            f"joint_counts: p {tuple(p.shape)} and q {tuple(q.shape)} must both be (B, K, H, W)"
        )
    height, width = p.shape[2:]
    if half_window % 1 or not 0 <= half_window < min(height, width):
        raise ValueError(
            f"joint_counts: half_window = {half_window} must be whole, >= 0 and smaller than the "
            f"image ({height} x {width}): lower half_window or use larger images"
        )
    if half_window == 0:
        return (p.flatten(2) @ q.flatten(2).mT).sum(0, keepdim=True)  # (1, K, K)
    joint = _Correlation.apply(p, q, half_window)  # (K, K, 2T+1, 2T+1)
    return joint.flatten(2).permute(2, 0, 1).clamp_min(0.0)  # (D, K, K)


@full_precision
def information_of_joint(joint: Tensor, balance: float = 1.0) -> Tensor:
    r"""Mutual information of co-occurrence counts, averaged over displacements.

    .. math:: \lambda (H(a) + H(b)) - H(a, b)

    Args:
        joint: (D, K, K), non-negative, in any unit: each matrix is normalised to one.
        balance: lambda; above one favours equal use of the classes.

    Returns:
        Scalar in nats; with lambda = 1 it lies in [0, log K].
    """
    joint = joint / joint.sum((1, 2), keepdim=True).clamp_min(EPS)  # (D, K, K)
    marginals = entropy(joint.sum(2)) + entropy(joint.sum(1))  # (D,)
    return (balance * marginals - entropy(joint, (1, 2))).mean()


def mutual_information(p: Tensor, q: Tensor, half_window: int = 0, balance: float = 1.0) -> Tensor:
    """Mutual information of two readings (Eq 19); larger is better, the loss is its negative.

    Args:
        p, q: class probabilities, (B, K, H, W).
        half_window: T; the mean over all displacements {-T..T}^2 is taken.
        balance: weight of the marginal entropies, see :func:`information_of_joint`.

    Returns:
        Scalar in nats. Equal balanced one-hot readings of K classes give log K.
    """
    return information_of_joint(joint_counts(p, q, half_window), balance)
