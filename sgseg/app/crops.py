"""The places of a set of images where a cluster is the surest."""

from __future__ import annotations

from collections.abc import Sequence, Set

import cv2
import numpy as np
import numpy.typing as npt

from ..visualization.surest import faded_crop, surest_windows
from .sampled import SampledImage

COUNT = 12
SIDE = 72
"""Pixels of a crop as shown."""


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
        side = min(max(min(sure.shape) // 4, 16), *sure.shape)
        for surety, top, left in surest_windows(sure, side, from_each):
            found.append((surety, number, top, left, side))
    found.sort(key=lambda each: -each[0])
    return [_shown(images[number], channels, *place) for _, number, *place in found[:count]]


def _shown(image: SampledImage, channels: Set[int], *place: int) -> npt.NDArray[np.uint8]:
    """The window at top, left and side ``place``, at the size of the page."""
    own = np.isin(image.channels, list(channels))
    crop = faded_crop(image.picture, own, *place)
    how = cv2.INTER_AREA if len(crop) > SIDE else cv2.INTER_LINEAR
    return cv2.resize(crop, (SIDE, SIDE), interpolation=how).astype(np.uint8)
