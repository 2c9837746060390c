"""Values of a coarse map at single pixels, as if it had been enlarged first.

Enlarging 512 channels to the image's size takes gigabytes a batch; a few pixels of it do not.
Gathered, not by ``F.grid_sample``, whose backward pass on GPUs adds in an order left to chance.
"""

from __future__ import annotations

import torch
from torch import Tensor


def at_pixels(feature: Tensor, pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """What ``F.interpolate(feature, size, mode="bilinear")`` holds at ``pixels``.

    Args:
        feature: (B, D, h, w).
        pixels: rows and columns in the enlarged map, (B, P, 2), whole numbers.
        size: height and width of the enlarged map.

    Returns:
        (B, D, P).
    """
    # Positions in single precision or better: half would miss whole pixels.
    exact = torch.promote_types(feature.dtype, torch.float32)
    extent = torch.tensor(size, device=pixels.device, dtype=exact)
    coarse = torch.tensor(feature.shape[2:], device=pixels.device)
    place = (pixels.to(exact) + 0.5) * (coarse / extent) - 0.5  # (B, P, 2): rows, columns
    place = place.clamp_min(0).minimum(coarse - 1.0)
    corner = place.long().minimum((coarse - 2).clamp_min(0))  # (B, P, 2)
    part = (place - corner)[:, None]  # (B, 1, P, 2)
    rows = feature.to(exact).flatten(2)  # (B, D, hw)
    return sum(  # type: ignore[return-value]
        _weight(part, down, right) * _gathered(rows, corner, down, right, feature.shape[2:])
        for down in (0, 1)
        for right in (0, 1)
    )


def _weight(part: Tensor, down: int, right: int) -> Tensor:
    """Share of one of the four neighbours, (B, 1, P)."""
    return (part[..., 0] if down else 1 - part[..., 0]) * (
        part[..., 1] if right else 1 - part[..., 1]
    )


def _gathered(rows: Tensor, corner: Tensor, down: int, right: int, size: tuple[int, ...]) -> Tensor:
    """(B, D, P): the neighbour ``down`` and ``right`` of each corner, inside the map."""
    row = (corner[..., 0] + down).clamp_max(size[0] - 1)
    column = (corner[..., 1] + right).clamp_max(size[1] - 1)
    place = (row * size[1] + column)[:, None]  # (B, 1, P)
    return rows.gather(2, place.expand(-1, rows.shape[1], -1))


def windows(centres: Tensor, side: int) -> Tensor:
    """Pixels of square windows.

    Args:
        centres: rows and columns, (B, 2).
        side: odd number of pixels.

    Returns:
        (B, side * side, 2), row by row.
    """
    reach = torch.arange(side, device=centres.device) - side // 2
    offsets = torch.cartesian_prod(reach, reach)  # (side^2, 2)
    return centres[:, None] + offsets
