"""Read an image by rows, so that it need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import gdal
from .images import read_pixels
from .pixels import Mask, Pixels, Stored, pixels_of
from .tiff import described, gdal_keeps, holds_tiff, is_stored, open_tiff, orientation_of
from .units import Units

Array = npt.NDArray[Any]
ReadRows = Callable[[int, int, slice], Array]
"""(first row, last row + 1, columns) -> these pixels as stored."""
LARGEST_SEGMENT = 2**26
"""Bytes; a file in larger strips or tiles is decoded once, as each would be again and again."""
_ALL = slice(None)


class Rows(Protocol):
    """An image of which rows are asked for."""

    shape: tuple[int, int, int]
    """(H, W, C)."""

    def rows(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop``: (rows, W, C) uint8, or float32 in [0, 1]."""

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where these rows are data: (rows, W) bool, or None where all of them are."""

    def window(self, start: int, stop: int, columns: slice) -> Pixels:
        """A part of the rows, and where it is data."""


class ArrayRows:
    """An image in memory or mapped into it.

    Args:
        image: (H, W, C) samples.
        path: names it in errors.
        units: what the samples mean; default the usual ones of their type.
        valid: (H, W), false where there is no data; default all is data.
    """

    def __init__(
        self,
        image: Array,
        path: str | Path = "image",
        units: Units | None = None,
        valid: Mask | None = None,
    ) -> None:
        self.image = image
        self.path = Path(path)
        self.units = units
        self.shape = image.shape
        self._mask = valid

    def rows(self, start: int, stop: int) -> Array:
        """The rows, uint8 or in [0, 1]."""
        return self.window(start, stop).image

    def window(self, start: int, stop: int, columns: slice = _ALL) -> Pixels:
        """A part of the rows."""
        valid = self.valid(start, stop)
        mask = None if valid is None else valid[:, columns]
        stored = Stored(self.image[start:stop, columns], mask=mask)
        return pixels_of(self.path, stored, self.shape[2], self.units)

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where the rows are data."""
        return None if self._mask is None else self._mask[start:stop]


class TiffRows:
    """A TIFF whose rows are read when they are asked for.

    Args:
        path: of the file.
        shape: (H, W, bands wanted).
        about: what the file says of its samples.
        samples: gives rows ``start`` to ``stop`` of some columns as stored, (rows, columns, C).
        mask: gives those of the internal mask, (rows, columns), or None without one.
        units: see :func:`open_rows`.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        about: Stored,
        samples: ReadRows,
        mask: ReadRows | None,
        units: Units | None,
    ) -> None:
        self.path, self.shape, self.about = path, shape, about
        self.samples, self.mask, self.units = samples, mask, units
        self._newest: tuple[tuple[int, int], Mask | None] | None = None

    def rows(self, start: int, stop: int) -> Array:
        """Decode what holds the rows; where there is no data they hold the mean of the others."""
        pixels = self.window(start, stop)
        self._newest = (start, stop), pixels.valid
        return pixels.image

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where the rows are data; of those that :meth:`rows` has just read, without reading."""
        if self.mask is None and not self.about.may_hide:
            return None
        newest = self._newest
        if newest is not None and newest[0] == (start, stop):
            return None if newest[1] is None else newest[1].copy()
        return self.window(start, stop).valid

    def window(self, start: int, stop: int, columns: slice = _ALL) -> Pixels:
        """Decode a part of the rows alone."""
        mask = None if self.mask is None else self.mask(start, stop, columns) != 0
        stored = self.about._replace(image=self.samples(start, stop, columns), mask=mask)
        return pixels_of(self.path, stored, self.shape[2], self.units, part=True)


def open_rows(path: str | Path, bands: int, units: Units | None = None) -> Rows:
    """An image to be read by rows: TIFF from disk as they are asked for, other formats whole.

    Args:
        path: see :func:`read_pixels`.
        bands: bands wanted.
        units: what the samples mean; default the usual ones of their type.

    Raises:
        BadFileError: as :func:`read_pixels`; for the values of a TIFF when they are read.
    """
    path = Path(path)
    if holds_tiff(path):
        with open_tiff(path) as (page, mask):
            opaque = page.samplesperpixel - bands
            samples = _row_reader(path, page)
            if samples and opaque in (0, 1) and orientation_of(page) == 1:
                about = described(path, page, np.empty((0, 0, bands)), None)
                shape = (page.imagelength, page.imagewidth, bands)
                hidden = mask and _row_reader(path, mask)
                rows = TiffRows(path, shape, about, samples, hidden, units)
                if opaque:
                    rows.rows(0, 1)  # a band that is no opacity is refused at once
                return rows
    image, valid = read_pixels(path, bands, units)
    return ArrayRows(image, path, None, valid)


def _row_reader(path: Path, page: Any) -> ReadRows | None:
    """What reads rows of a page: a mapped file, GDAL, or a decoded copy on disk; None: nothing."""
    in_place = page.is_memmappable and is_stored(page)
    tall, wide = page.rowsperstrip, page.imagewidth
    if page.is_tiled:
        tall, wide = page.tilelength, page.tilewidth
    segment = tall * wide * page.samplesperpixel * page.bitspersample // 8
    if not in_place and segment <= LARGEST_SEGMENT:
        if page.is_mask and gdal.installed():
            return partial(gdal.read_mask, path)
        if gdal_keeps(page):
            return partial(gdal.read_rows, path)
    if page.is_mask:
        return _of_array(page.asarray())
    if not is_stored(page):
        return None
    # Mapped where the samples lie in the file as they are, else decoded into a temporary file.
    image: Array = page.asarray(out="memmap", buffersize=2**20)
    image = image[:, :, None] if page.axes == "YX" else image
    return _of_array(np.moveaxis(image, 0, 2) if page.axes == "SYX" else image)


def _of_array(image: Array) -> ReadRows:
    return lambda start, stop, columns: image[start:stop, columns]
