"""What each class covers: pixels, share, and square metres where the ground is known.

Shares are of the valid pixels: those without data (255 in a label map) count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE

_ROWS = 1024


class Area(NamedTuple):
    """What one class covers of an image, or of several."""

    value: int
    name: str
    pixels: int
    share: float
    """Share of the valid pixels, 0 to 1; 0 where no pixel is valid."""
    square_metres: float | None
    """None where the size of a pixel on the ground is not known."""


def areas(
    labels: npt.NDArray[np.uint8],
    classes: Sequence[str],
    pixel_areas: npt.NDArray[np.float64] | None = None,
) -> list[Area]:
    """A row for each class, those without a pixel too.

    Args:
        labels: (H, W); 255 is no data.
        classes: name of each value.
        pixel_areas: (H,) square metres of a pixel in each row, from
            :meth:`.Georeference.pixel_areas`.
    """
    counts, ground = np.zeros(256, np.int64), np.zeros(256)
    equal = pixel_areas is None or (pixel_areas == pixel_areas[0]).all()
    step = _ROWS if equal else 1  # bincount takes eight bytes a pixel
    for start in range(0, len(labels), step):
        counted = np.bincount(labels[start : start + step].ravel(), minlength=256)
        counts += counted
        if pixel_areas is not None:
            ground += counted * pixel_areas[start]
    known = None if pixel_areas is None else ground
    return _rows(classes, counts, known)


def summed(classes: Sequence[str], images: Iterable[Sequence[Area]]) -> list[Area]:
    """A row for each class over all images; square metres where every image has them."""
    counts, ground, known = np.zeros(256, np.int64), np.zeros(256), True
    for rows in images:
        for row in rows:
            counts[row.value] += row.pixels
            known &= row.square_metres is not None
            ground[row.value] += row.square_metres or 0.0
    return _rows(classes, counts, ground if known else None)


def _rows(
    classes: Sequence[str],
    counts: npt.NDArray[np.int64],
    ground: npt.NDArray[np.float64] | None,
) -> list[Area]:
    valid = max(int(counts[:IGNORE].sum()), 1)
    return [
        Area(
            value,
            name,
            int(counts[value]),
            float(counts[value] / valid),
            None if ground is None else round(float(ground[value]), 4),
        )
        for value, name in enumerate(classes)
    ]
