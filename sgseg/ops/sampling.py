"""Values of a coarse map at single pixels, as if it had been enlarged first.

Enlarging 512 channels to the image's size takes gigabytes a batch; a few pixels of it do not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
    place = (2 * pixels.to(exact) + 1) / extent - 1  # (B, P, 2): rows, columns in [-1, 1]
    grid = place.flip(2)[:, :, None]  # (B, P, 1, 2): x before y
    feature = feature.to(exact)
    found = F.grid_sample(feature, grid, padding_mode="border", align_corners=False)
    return found[..., 0]  # (B, D, P)


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
