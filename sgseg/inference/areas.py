"""How much of an image each class covers: pixels, share, and area on the ground where it is known.

Shares are of the valid pixels: those without data (255 in a label map) count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..io.georeference import Tag
from ..ops.matching import IGNORE

COLUMNS = ("image", "value", "class", "pixels", "share", "area", "unit")
_SCALE, _MATRIX, _KEYS = 33550, 34264, 34735
"""GeoTIFF's tags: size of a pixel, transformation, directory of the coordinate system's keys."""
_MODEL_TYPE, _SYSTEM, _LINEAR_UNIT = 1024, 3072, 3076
_GEOGRAPHIC = 2
_UNITS = {9001: "m2", 9002: "ft2", 9003: "US survey ft2"}
_ROWS = 1024


class Area(NamedTuple):
    """What one class covers of an image."""

    value: int
    name: str
    pixels: int
    share: float
    """Of the valid pixels, 0 to 1; 0 where no pixel is valid."""
    area: float | str
    """On the ground; empty where the size of a pixel is not known."""
    unit: str


def areas(
    labels: npt.NDArray[np.uint8], classes: Sequence[str], pixel: tuple[float, str] | None = None
) -> list[Area]:
    """A row for each class, those without a pixel too.

    Args:
        labels: (H, W); 255 is no data.
        classes: name of each value.
        pixel: area of a pixel and its unit, from :func:`pixel_area`.
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


def pixel_area(tags: Sequence[Tag]) -> tuple[float, str] | None:
    """Area of a pixel of a GeoTIFF and its unit; None without one, or in degrees.

    The unit is that of the file's keys, or metres for UTM; else ``map units2``.
    """
    by_code: dict[int, Any] = {tag[0]: tag[3] for tag in tags}
    scale, matrix = by_code.get(_SCALE), by_code.get(_MATRIX)
    if scale:
        area = abs(scale[0] * scale[1])
    elif matrix:
        area = abs(matrix[0] * matrix[5] - matrix[1] * matrix[4])
    else:
        return None
    keys = _keys(by_code.get(_KEYS) or ())
    if keys.get(_MODEL_TYPE) == _GEOGRAPHIC or area == 0:
        return None
    system = keys.get(_SYSTEM, 0)
    in_metres = 32601 <= system <= 32660 or 32701 <= system <= 32760  # EPSG's numbers of UTM
    unknown = "m2" if in_metres else "map units2"
    return float(area), _UNITS.get(keys.get(_LINEAR_UNIT, 0), unknown)


def _keys(directory: Sequence[int]) -> dict[int, int]:
    """Keys whose value stands in the directory itself."""
    entries = zip(*(directory[4 + part :: 4] for part in range(4)), strict=False)
    return {key: value for key, place, _, value in entries if place == 0}
