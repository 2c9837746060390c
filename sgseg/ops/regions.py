"""Means over the regions of hard label maps.

Shapes: values (B, D, H, W), regions (B, H, W) whole numbers from 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RegionMeans(NamedTuple):
    """What regions hold; R is the largest number of regions of an image."""

    mean: Tensor
    """(B, R, D), zero for a number that no pixel has."""
    pixels: Tensor
    """(B, R)."""


def region_means(values: Tensor, regions: Tensor) -> RegionMeans:
    """Mean of ``values`` over each region.

    Raises:
        ValueError: if batch or image sizes differ.
    """
    if (len(values), *values.shape[2:]) != tuple(regions.shape):
        raise ValueError(
            f"region_means: values {tuple(values.shape)} and regions {tuple(regions.shape)} must "
            "agree in batch, height and width"
        )
    count, width = len(values), int(regions.max()) + 1
    image = torch.arange(count, device=regions.device).view(-1, 1, 1)
    owner = (regions.long() + width * image).flatten()  # (BHW,)
    rows = values.movedim(1, 3).flatten(0, 2)  # (BHW, D)
    sums = rows.new_zeros(count * width, rows.shape[1]).index_add(0, owner, rows)
    pixels = torch.bincount(owner, minlength=count * width).view(count, width)
    return RegionMeans(sums.view(count, width, -1) / pixels[..., None].clamp_min(1), pixels)
