"""Images read by rows, so that one that does not fit into memory can be looked at in parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from .files import TIFF_SUFFIXES, read_image, tiff_faults, tiff_page, unit_range

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


class ArrayRows:
    """An image in memory or mapped into it, (H, W, C); ``path`` names it in errors."""

    def __init__(self, image: Array, path: str | Path = "image") -> None:
        self.image = image
        self.path = Path(path)
        self.shape = image.shape

    def rows(self, start: int, stop: int) -> Array:
        """The rows, uint8 or in [0, 1]."""
        return unit_range(self.path, self.image[start:stop])


class TiffRows:
    """A TIFF whose strips or tiles are decoded when their rows are asked for."""

    def __init__(self, path: Path, page: tifffile.TiffPage) -> None:
        self.path = path
        self.page = page
        self.shape = (page.imagelength, page.imagewidth, page.samplesperpixel)

    def rows(self, start: int, stop: int) -> Array:
        """Decode the segments that hold the rows."""
        _, width, bands = self.shape
        out = np.zeros((stop - start, width, bands), self.page.dtype)
        with tiff_faults(self.path), self.path.open("rb") as file:
            for number in self._segments(start, stop):
                self._decode(file, number, start, out)
        return unit_range(self.path, out)

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


def open_rows(path: str | Path, bands: int) -> Rows:
    """An image to be read by rows: TIFF from disk as they are asked for, other formats whole.

    Args:
        path: see :func:`read_image`.
        bands: bands wanted.

    Raises:
        BadFileError: as :func:`read_image`; for the values of a TIFF when they are read.
    """
    path = Path(path)
    if path.suffix.lower() in TIFF_SUFFIXES and path.is_file() and path.stat().st_size:
        page = tiff_page(path)
        if page is not None and page.samplesperpixel == bands:
            found = _lazily(path, page)
            if found is not None:
                return found
    return ArrayRows(read_image(path, bands), path)


def _lazily(path: Path, page: tifffile.TiffPage) -> Rows | None:
    import tifffile

    if page.is_final and page.dataoffsets[0] % page.dtype.itemsize == 0:
        image: Array = tifffile.memmap(path, mode="r")
        image = image[:, :, None] if page.axes == "YX" else image
        return ArrayRows(np.moveaxis(image, 0, 2) if page.axes == "SYX" else image, path)
    tall, wide = page.rowsperstrip, page.imagewidth
    if page.is_tiled:
        tall, wide = page.tilelength, page.tilewidth
    size = tall * wide * page.samplesperpixel * page.dtype.itemsize
    if page.compression in _BY_SEGMENT and size <= LARGEST_SEGMENT:
        return TiffRows(path, page)
    return None
