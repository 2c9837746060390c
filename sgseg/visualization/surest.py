"""The windows of an image that belong to a cluster most surely, and how they are shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .pictures import RGB

_FADE = 0.75
"""How far pixels of other clusters fade to white."""


def surest_windows(
    sure: npt.NDArray[np.float32], side: int, most: int
) -> list[tuple[float, int, int]]:
    """Square windows of the highest mean surety that do not overlap, the surest first.

    Args:
        sure: (H, W) probability of the cluster, 0 where another one is.
        side: of a window, at most H and W.
        most: how many; there are fewer where nothing else is sure.

    Returns:
        Mean surety, top and left of each.
    """
    import cv2

    height, width = sure.shape
    # The window at (top, left) is the mean of what lies right of and below its corner.
    mean = cv2.boxFilter(sure, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    mean = mean[: height - side + 1, : width - side + 1]
    found: list[tuple[float, int, int]] = []
    while len(found) < most:
        top, left = (int(n) for n in np.unravel_index(mean.argmax(), mean.shape))
        if mean[top, left] <= 0:
            break
        found.append((float(mean[top, left]), top, left))
        mean[max(top - side + 1, 0) : top + side, max(left - side + 1, 0) : left + side] = 0
    return found


def faded_crop(picture: RGB, own: npt.NDArray[np.bool_], top: int, left: int, side: int) -> RGB:
    """A window of a picture (H, W, 3); pixels that are not ``own`` (H, W) fade to white."""
    window = np.s_[top : top + side, left : left + side]
    crop = picture[window].astype(np.float32)
    crop[~own[window]] += _FADE * (255 - crop[~own[window]])
    return crop.astype(np.uint8)
