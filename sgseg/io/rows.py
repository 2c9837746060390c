"""Images read by rows, so that one that does not fit into memory can be looked at in parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from .images import read_pixels
from .pixels import Mask, Pixels, Stored, pixels_of
from .tiff import (
    described,
    holds_tiff,
    is_stored,
    open_tiff,
    orientation_of,
    tiff_faults,
)
from .units import Units

if TYPE_CHECKING:
    import tifffile

Array = npt.NDArray[Any]
LARGEST_SEGMENT = 2**26
"""Bytes; a file in larger strips or tiles is decoded whole, as each would be again and again."""
_BY_SEGMENT = (1, 5, 8, 32773, 32946, 34925, 50000)
"""TIFF compressions whose segments stand for themselves: none, LZW, deflate, PackBits, LZMA, Zstd;
a JPEG's need tables of the whole file."""


class Rows(Protocol):
    """An image of which rows are asked for."""

    shape: tuple[int, int, int]
    """(H, W, C)."""

    def rows(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop``: (rows, W, C) uint8, or float32 in [0, 1]."""

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where these rows are data: (rows, W) bool, or None where all of them are."""


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
        stored = Stored(self.image[start:stop], mask=self.valid(start, stop))
        return pixels_of(self.path, stored, self.shape[2], self.units).image

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where the rows are data."""
        return None if self._mask is None else self._mask[start:stop]


class Segments:
    """The samples of a TIFF's page, whose strips or tiles are decoded when they are asked for."""

    def __init__(self, path: Path, page: tifffile.TiffPage) -> None:
        self.path = path
        self.page = page
        self.shape = (page.imagelength, page.imagewidth, page.samplesperpixel)

    def rows(self, start: int, stop: int) -> Array:
        """Decode the segments that hold the rows: (rows, W, C) as stored."""
        _, width, bands = self.shape
        out = np.zeros((stop - start, width, bands), self.page.dtype)
        with tiff_faults(self.path), self.path.open("rb") as file:
            for number in self._segments(start, stop):
                self._decode(file, number, start, out)
        return out

    def _segments(self, start: int, stop: int) -> list[int]:
        """Numbers of the segments that hold a row of ``start`` to ``stop``."""
        height, width, bands = self.shape
        page = self.page
        tall, wide = page.rowsperstrip, width
        if page.is_tiled:
            tall, wide = page.tilelength, page.tilewidth
        down, across = -(-height // tall), -(-width // wide)
        return [
            (plane * down + line) * across + column
            for plane in range(bands if page.planarconfig == 2 else 1)
            for line in range(start // tall, -(-stop // tall))
            for column in range(across)
        ]

    def _decode(self, file: BinaryIO, number: int, start: int, out: Array) -> None:
        """Put segment ``number`` where it belongs in ``out``, whose first row is ``start``."""
        page = self.page
        file.seek(page.dataoffsets[number])
        data = file.read(page.databytecounts[number])
        segment, (plane, _, top, left, _), shape = page.decode(data or None, number)
        if segment is None:  # a hole in the file
            segment = np.full(shape, page.nodata, page.dtype)
        first, last = max(start, top), min(start + len(out), top + shape[1])
        part = segment[0, first - top : last - top, : out.shape[1] - left]  # (h, w, C or 1)
        bands = slice(plane, plane + 1) if page.planarconfig == 2 else slice(None)
        out[first - start : last - start, left : left + part.shape[1], bands] = part


class Mapped:
    """The samples of an uncompressed TIFF, (H, W, C), mapped into memory."""

    def __init__(self, image: Array) -> None:
        self.image = image

    def rows(self, start: int, stop: int) -> Array:
        """The rows as stored."""
        return self.image[start:stop]


class TiffRows:
    """A TIFF whose rows are read when they are asked for.

    Args:
        path: of the file.
        page: of its image.
        source: its samples.
        mask: samples of its internal mask, if it has one.
        bands: bands wanted.
        units: see :func:`open_rows`.
    """

    def __init__(
        self,
        path: Path,
        page: tifffile.TiffPage,
        source: Mapped | Segments,
        mask: Mapped | Segments | None,
        bands: int,
        units: Units | None,
    ) -> None:
        self.path, self.source, self.mask, self.units = path, source, mask, units
        self.shape = (page.imagelength, page.imagewidth, bands)
        self.about = described(path, page, np.empty((0, 0, bands)), None)

    def rows(self, start: int, stop: int) -> Array:
        """Decode what holds the rows; where there is no data they hold the mean of the others."""
        return self._part(start, stop).image

    def valid(self, start: int, stop: int) -> Mask | None:
        """Where the rows are data."""
        if self.mask is None and not self.about.may_hide:
            return None
        return self._part(start, stop).valid

    def _part(self, start: int, stop: int) -> Pixels:
        mask = None if self.mask is None else self.mask.rows(start, stop)[:, :, 0] != 0
        stored = self.about._replace(image=self.source.rows(start, stop), mask=mask)
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
            found = _by_rows(path, page, mask, bands, units)
        if found is not None:
            return found
    image, valid = read_pixels(path, bands, units)
    return ArrayRows(image, path, None, valid)


def _by_rows(path: Path, page: Any, mask: Any, bands: int, units: Units | None) -> TiffRows | None:
    """The file if it can be read by rows: as stored, not turned, of the bands wanted."""
    opaque = page.samplesperpixel - bands
    if not is_stored(page) or orientation_of(page) != 1 or opaque not in (0, 1):
        return None
    source = _lazily(path, page)
    hidden = None if mask is None else _lazily(path, mask)
    if source is None or (mask is not None and hidden is None):
        return None
    found = TiffRows(path, page, source, hidden, bands, units)
    if opaque:
        found.rows(0, 1)  # a band that is no opacity is refused before anything is done
    return found


def _lazily(path: Path, page: Any) -> Mapped | Segments | None:
    if page.is_final and page.dataoffsets[0] % page.dtype.itemsize == 0:
        return Mapped(_mapped(path, page))
    tall, wide = page.rowsperstrip, page.imagewidth
    if page.is_tiled:
        tall, wide = page.tilelength, page.tilewidth
    size = tall * wide * page.samplesperpixel * page.dtype.itemsize
    if page.compression in _BY_SEGMENT and size <= LARGEST_SEGMENT:
        return Segments(path, page)
    return None


def _mapped(path: Path, page: Any) -> Array:
    """(H, W, C) of a page whose samples lie in the file one after the other."""
    order = page.parent.byteorder
    image: Array = np.memmap(
        path, page.dtype.newbyteorder(order), "r", page.dataoffsets[0], page.shape
    )
    image = image[:, :, None] if page.axes == "YX" else image
    return np.moveaxis(image, 0, 2) if page.axes == "SYX" else image
