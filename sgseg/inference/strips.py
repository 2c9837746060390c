"""A large raster in strips of rows that several workers segment: together the map of one worker.

A strip's first windows begin above it, where those of the whole raster do, so that its rows are
blended of the same windows in the same order, and equal to the bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..io.atomic import replacing
from ..io.digest import short_digest
from ..io.georeference import is_georeferenced
from ..io.images import stored_size
from .tiling import windows

if TYPE_CHECKING:
    from .segmenter import Segmenter

WINDOWS = 8
"""Rows of windows of a strip at most; one more, at its upper border, is segmented twice."""
FOLDER = "strips"
"""In OUT, while a raster is not whole."""


class Strip(NamedTuple):
    """Some rows of a raster."""

    path: Path
    name: str
    """Of the raster in OUT."""
    start: int
    stop: int

    def file(self, out: Path) -> Path:
        """Its labels, while the raster is as it is.

        Raises:
            ValueError: if the raster is gone.
        """
        try:
            state = self.path.stat()
        except OSError as error:
            raise ValueError(f"{self.path}: {error.strerror}") from error
        end = f"{state.st_size}-{state.st_mtime_ns}.npy"
        return _folder(out, self.name) / f"{self.start}-{self.stop}-{end}"


def strips(segmenter: Segmenter, path: Path, name: str) -> list[Strip]:
    """The strips of an image; none of one that is not segmented in many windows at its own size.

    Args:
        segmenter: decides about windows.
        path: of the image.
        name: in OUT.
    """
    try:
        raster = is_georeferenced(path)
        if not segmenter.tiled(*stored_size(path), raster):
            return []  # without reading its pixels
        height, width = segmenter.open(path).shape[:2]  # upright
        if segmenter.size.of(height, width, raster) != (height, width):
            return []
    except ValueError:  # named when it is segmented
        return []
    starts = [w.start for w in windows(height, segmenter.window, segmenter.overlap)]
    count = -(-len(starts) // WINDOWS)
    if count < 2:
        return []
    borders = [starts[len(starts) * part // count] for part in range(count)] + [height]
    return [Strip(path, name, start, stop) for start, stop in pairwise(borders)]


def write_strip(segmenter: Segmenter, out: Path, strip: Strip) -> None:
    """Segment a strip, unless its file is there.

    Raises:
        ValueError: for an image that cannot be read.
    """
    file = strip.file(out)
    if file.is_file():
        return
    labels = segmenter.strip(strip.path, strip.start, strip.stop)
    with replacing(file, shared=True) as opened:
        np.save(opened, labels)


def joined(out: Path, parts: Sequence[Strip]) -> npt.NDArray[np.uint8]:
    """The labels (H, W) of all strips of a raster.

    Raises:
        ValueError: if one is not there, since the raster has changed.
    """
    try:
        return np.concatenate([np.load(part.file(out), mmap_mode="r") for part in parts])
    except FileNotFoundError as error:
        changed = "changed while it was segmented; the same call again takes it as it is now"
        raise ValueError(f"{parts[0].path}: {changed}") from error


def remove_strips(out: Path, name: str) -> None:
    """Those of a raster that is whole."""
    if (out / FOLDER).is_dir():
        shutil.rmtree(_folder(out, name), ignore_errors=True)


def remove_all_strips(out: Path) -> None:
    """Those of a prediction that is given up."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _folder(out: Path, name: str) -> Path:
    """Of one raster alone, also where ``a.png`` lies beside ``a/b.tif``."""
    return out / FOLDER / short_digest(name)
