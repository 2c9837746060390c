"""The displaced joint distributions of Eq 19 as one product of spectra."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor
from torch.autograd import Function

from ..precision import backward_pass

Size = tuple[int, int]
# Spectra of 8 images of 15 classes fit the last-level cache; more at a time took twice as long.
_IMAGES = 8


def _spectrum(x: Tensor, size: Size) -> Tensor:
    """(b, K, H, W) -> (F, b, K): the F frequencies first, for a matrix product at each."""
    spectrum = torch.fft.rfft2(x, s=size).flatten(2)  # (b, K, F)
    return spectrum.flatten(0, 1).t().contiguous().unflatten(1, x.shape[:2])  # (F, b, K)


def _maps(spectrum: Tensor, size: Size) -> Tensor:
    """(F, b, K) -> (b, K, *size), the inverse of :func:`_spectrum`."""
    rows = spectrum.flatten(1).t().contiguous()  # (bK, F)
    maps = torch.fft.irfft2(rows.unflatten(1, (size[0], size[1] // 2 + 1)), s=size)
    return maps.unflatten(0, spectrum.shape[1:])  # (b, K, *size)


def _filtered(x: Tensor, product: Tensor, size: Size) -> Tensor:
    """(B, K, H, W): ``x``, its classes mixed by the (F, K, K) matrices at each frequency."""
    filtered = torch.empty_like(x, memory_format=torch.contiguous_format)
    for few, out in zip(x.split(_IMAGES), filtered.split(_IMAGES), strict=True):
        maps = _maps(_spectrum(few, size) @ product, size)  # (b, K, *size)
        out.copy_(maps[..., : x.shape[2], : x.shape[3]])
    return filtered


class _Correlation(Function):
    """Sums of p[n, a, x] q[n, b, x + t] over images and pixels, in the frequency domain.

    (B, K, H, W) twice -> (K, K, 2T+1, 2T+1). Spectra of a few images are made at a time and none
    is kept: p and q are transformed again in less time than the product takes.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, q: Tensor, half_window: int) -> Tensor:
        ctx.save_for_backward(p, q)
        ctx.half_window, window = half_window, 2 * half_window + 1
        # Padding by T keeps the circular correlation from wrapping round within the window.
        height, width = (next_fast_len(length + half_window) for length in p.shape[2:])
        size = ctx.size = (height, width)
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
        by_p = _filtered(q, weight.mH, ctx.size) if ctx.needs_input_grad[0] else None
        by_q = _filtered(p, weight, ctx.size) if ctx.needs_input_grad[1] else None
        return by_p, by_q, None


def displaced_counts(p: Tensor, q: Tensor, half_window: int) -> Tensor:
    """See :func:`sgseg.ops.information.displaced_counts`."""
    counts = _Correlation.apply(p, q, half_window)  # (K, K, 2T+1, 2T+1)
    return counts.flatten(2).permute(2, 0, 1).clamp_min(0.0)  # (D, K, K); rounding went below 0
