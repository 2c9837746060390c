"""The places of a set of images where a cluster is the surest."""

from __future__ import annotations

from collections.abc import Sequence, Set

import cv2
import numpy as np
import numpy.typing as npt

from .sampled import SampledImage

COUNT = 12
SIDE = 72
"""Pixels of a crop as shown."""
FADE = 0.75
"""How far pixels of other clusters fade to white."""


def surest_crops(
    images: Sequence[SampledImage], channels: Set[int], count: int = COUNT
) -> list[npt.NDArray[np.uint8]]:
    """Square crops in which these channels are the most probable, the surest first.

    The surety of a crop is the mean over its pixels of the probability, counted zero where another
    cluster is. A crop is a quarter of the shorter side; an image gives two, or more where there
    are few images.

    Returns:
        At most ``count`` of (SIDE, SIDE, 3).
    """
    from_each = max(2, -(-count // max(len(images), 1)))
    found: list[tuple[float, int, int, int, int]] = []  # surety, image, top, left, side
    for number, image in enumerate(images):
        sure = np.where(np.isin(image.channels, list(channels)), image.surety, 0)
        if sure.any():
            found += [(s, number, *place) for s, *place in _places(sure, from_each)]
    found.sort(key=lambda each: -each[0])
    return [_cut(images[number], channels, *place) for _, number, *place in found[:count]]


def _places(sure: npt.NDArray[np.float32], count: int) -> list[tuple[float, int, int, int]]:
    """Surety, top, left and side of ``count`` windows that do not overlap."""
    height, width = sure.shape
    side = min(max(min(height, width) // 4, 16), height, width)
    # The window at (top, left) is the mean of what lies right of and below its corner.
    mean = cv2.boxFilter(sure, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    mean = mean[: height - side + 1, : width - side + 1]
    places = []
    for _ in range(count):
        top, left = (int(n) for n in np.unravel_index(mean.argmax(), mean.shape))
        if mean[top, left] <= 0:
            break
        places.append((float(mean[top, left]), top, left, side))
        mean[max(top - side + 1, 0) : top + side, max(left - side + 1, 0) : left + side] = 0
    return places


def _cut(
    image: SampledImage, channels: Set[int], top: int, left: int, side: int
) -> npt.NDArray[np.uint8]:
    """The place, pixels of other clusters faded."""
    window = np.s_[top : top + side, left : left + side]
    crop = image.picture[window].astype(np.float32)
    other = ~np.isin(image.channels[window], list(channels))
    crop[other] += FADE * (255 - crop[other])
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return cv2.resize(crop, (SIDE, SIDE), interpolation=how).astype(np.uint8)
