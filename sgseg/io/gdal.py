"""Windows of TIFF files of any compression, read by GDAL: by rasterio, of the extra ``geo``."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .badfile import BadFileError

INSTALL = "pip install 'sgseg[geo]'"
_ALL = slice(None)


def installed() -> bool:
    """Whether rasterio is there."""
    return importlib.util.find_spec("rasterio") is not None


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[Any]:
    """rasterio's data set of a file; ``options`` are those of ``rasterio.open``.

    Raises:
        BadFileError: for a file that GDAL cannot open, read or write.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path, **options) as file:
                yield file
        except RasterioError as error:
            raise BadFileError(path, f"cannot be read or written by GDAL: {error}") from error
        except UnicodeEncodeError as error:
            raise BadFileError(path, "GDAL takes names in UTF-8 only: rename it") from error


def read_rows(path: Path, start: int, stop: int, columns: slice = _ALL) -> npt.NDArray[Any]:
    """Rows ``start`` to ``stop`` of some columns, all bands as stored: (rows, columns, bands).

    Opened for each call, so that GDAL keeps nothing of it in memory.
    """
    with opened(path) as file:
        return np.moveaxis(file.read(window=_window(file, start, stop, columns)), 0, 2)


def read_mask(path: Path, start: int, stop: int, columns: slice = _ALL) -> npt.NDArray[Any]:
    """The same part of the internal mask, not zero where there is data: (rows, columns)."""
    with opened(path) as file:
        return file.read_masks(1, window=_window(file, start, stop, columns))


def _window(file: Any, start: int, stop: int, columns: slice) -> Any:
    from rasterio.windows import Window

    left, right, _ = columns.indices(file.width)
    return Window(left, start, right - left, stop - start)
