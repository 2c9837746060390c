"""Turn the samples of a file into bands in known units, with a mask of pixels without data.

A pixel is no data where the file says so: by a nodata value (GDAL's tag), by an internal mask, or
by a band of opacity that is zero there. It is given the mean of the valid pixels, so that it
stands out from nothing, and is named by ``valid``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .badfile import BadFileError
from .units import Units, to_unit_range, units_of

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


class Pixels(NamedTuple):
    """An image in its units."""

    image: Array
    """(H, W, bands) uint8, or float32 in [0, 1]."""
    valid: Mask | None = None
    """(H, W), false where there is no data; None where all is data."""


class Stored(NamedTuple):
    """Samples as they lie in a file, and what it says about them."""

    image: Array
    """(H, W, bands) of any type."""
    opacity: str = ""
    """``sure`` or ``declared`` where the last band is opacity: files of red, green, blue and
    infrared call the last so by mistake, PNG and WebP never."""
    nodata: float | None = None
    mask: Mask | None = None
    """(H, W), true where there is data."""
    turned: bool = False
    """Whether its orientation tag turned it."""

    @property
    def may_hide(self) -> bool:
        """Whether a pixel can be no data."""
        return bool(self.opacity) or self.nodata is not None or self.mask is not None


def pixels_of(
    path: Path, stored: Stored, bands: int, units: Units | None = None, part: bool = False
) -> Pixels:
    """The bands wanted, in their units, without what is no data.

    Args:
        path: of the file, for errors.
        stored: its samples, or a part of their rows.
        bands: bands wanted; grey becomes three equal ones, and opacity is no band.
        units: what the samples mean; default the usual ones of their type.
        part: whether these are a part of the rows only.

    Raises:
        BadFileError: for another number of bands, or samples of other or no known units.
    """
    image, opaque = _bands_of(path, stored, bands, part)
    try:
        known = units or units_of(image.dtype)
        valid = _valid(image, stored, opaque, known)
        if valid is None:
            return Pixels(to_unit_range(image, known))
        held = np.where(valid[:, :, None], image, image.dtype.type(known.low))
        scaled = to_unit_range(held, known)
    except ValueError as error:
        raise BadFileError(path, str(error), "dtype") from error
    if valid.any():
        mean = scaled[valid].mean(0)  # (bands,)
        scaled[~valid] = mean.round() if scaled.dtype == np.uint8 else mean
    return Pixels(scaled, valid)


def _bands_of(path: Path, stored: Stored, bands: int, part: bool) -> tuple[Array, Mask | None]:
    """(H, W, bands), and (H, W) where opacity is not zero if there is such a band."""
    image, opaque = stored.image, None
    found = image.shape[2]
    if stored.opacity and (found == bands + 1 or (found, bands) == (2, 3)):
        opaque = image[:, :, -1] > 0
        if stored.opacity == "declared":
            _demand_a_mask(path, image[:, :, -1], found, bands, part)
        image = image[:, :, :-1]
    if image.shape[2] == 1 and bands == 3:
        return np.repeat(image, 3, 2), opaque
    if image.shape[2] != bands:
        raise BadFileError(
            path,
            f"has {found} bands, expected {bands}: train with --bands {found} (`bands` in a "
            "config) if all are meant; a trained model takes as many as it was trained on",
            "bands",
        )
    return image, opaque


def _demand_a_mask(path: Path, last: Array, found: int, bands: int, part: bool) -> None:
    """Refuse a last band that is declared as opacity and is another one, infrared for example."""
    top = np.iinfo(last.dtype).max if last.dtype.kind in "iu" else 1
    if ((last == 0) | (last == top)).all() and (part or last.any()):
        return
    held = f"more than 0 and {top}" if last.any() else "nothing but 0"
    raise BadFileError(
        path,
        f"has {found} bands, expected {bands}; the last is declared as opacity but holds {held}: "
        f"train with --bands {found} (`bands` in a config) if it is data, or remove it from the "
        "file",
        "bands",
    )


def _valid(image: Array, stored: Stored, opaque: Mask | None, units: Units) -> Mask | None:
    """(H, W), or None where every pixel is data."""
    parts = [part for part in (opaque, stored.mask) if part is not None]
    if stored.nodata is not None:
        parts.append(~_nodata(image, stored.nodata, units))
    valid: Mask | None = np.logical_and.reduce(parts) if parts else None
    return None if valid is None or valid.all() else valid


def _nodata(image: Array, value: float, units: Units) -> Mask:
    """(H, W): all bands hold the value, or any where it can be no sample (-9999, nan).

    Where a value is declared, nan is no data as well: programs that warp leave both.
    """
    missing = np.isnan(image) if image.dtype.kind == "f" else np.zeros(image.shape, bool)
    if math.isnan(value):
        same = missing
    else:
        with np.errstate(over="ignore"):
            # The tag is text: -3.4028234663852886e+38 is float32's own only when rounded to it.
            same = image == (np.float32(value) if image.dtype == np.float32 else value)
    impossible = not units.low <= value <= units.high
    return np.asarray((same.any(2) if impossible else same.all(2)) | missing.any(2))
