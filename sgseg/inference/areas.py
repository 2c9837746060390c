"""Area of each class in an image: pixels, share, and square metres where the scale is known.

Shares are of the valid pixels: those without data (255 in a label map) count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE

COLUMNS = ("image", "value", "class", "pixels", "share", "area", "unit")
_ROWS = 1024


class Area(NamedTuple):
    """What one class covers of an image."""

    value: int
    name: str
    pixels: int
    share: float
    """Share of the valid pixels, 0 to 1; 0 where no pixel is valid."""
    area: float | str
    """Area on the ground; empty where the size of a pixel is not known."""
    unit: str


def areas(
    labels: npt.NDArray[np.uint8], classes: Sequence[str], pixel: tuple[float, str] | None = None
) -> list[Area]:
    """A row for each class, those without a pixel too.

    Args:
        labels: (H, W); 255 is no data.
        classes: name of each value.
        pixel: area of a pixel and its unit, from :meth:`.Georeference.pixel_area`.
    """
    counts = np.zeros(256, np.int64)
    for start in range(0, len(labels), _ROWS):  # bincount takes eight bytes a pixel
        counts += np.bincount(labels[start : start + _ROWS].ravel(), minlength=256)
    valid = max(int(counts[:IGNORE].sum()), 1)
    size, unit = pixel or (None, "")
    return [
        Area(
            value,
            name,
            int(counts[value]),
            round(float(counts[value] / valid), 6),
            "" if size is None else float(counts[value] * size),
            unit,
        )
        for value, name in enumerate(classes)
    ]
