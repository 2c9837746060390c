"""Segment one batch of images and write its files: the piece of work that an engine hands out.

Nothing here knows of the others: what is finished is the record of :class:`.Prediction`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from mmengine.logging import print_log

from ..io.remote import Place, local_copies
from ..io.rows import Rows
from .areas import Area
from .images import is_raster
from .outputs import Look, write_files
from .result import Segmentation
from .segmenter import Segmenter, Told
from .sources import image_name
from .strips import Strip, joined, remove_strips


class Batch(NamedTuple):
    """Images that are in memory at once; what is rounded in one depends on all of them."""

    places: list[Place]
    names: dict[str, str]
    """Of those that are to be written: image -> its name in OUT."""
    strips: tuple[Strip, ...] = ()
    """Of a raster whose rows other workers have segmented already."""


class Written(NamedTuple):
    """What one image gave."""

    path: Place
    image: str
    """Its path below the folder of the images."""
    files: dict[str, str]
    """Folder -> file below OUT; empty for a fault."""
    areas: list[Area]
    fault: str = ""
    """Why it could not be segmented, with its path; empty if it was."""


Result = Segmentation | ValueError
Remark = tuple[object, str]
"""What a remark is about, of which one is enough, and its sentence."""


class Engine(Protocol):
    """Where batches are segmented."""

    def __call__(self, writer: BatchWriter, batches: Iterable[Batch]) -> Iterator[Written]:
        """What each image gives, batch by batch, in any order."""


def here(writer: BatchWriter, batches: Iterable[Batch]) -> Iterator[Written]:
    """The engine of this process: one batch after the other."""
    for batch in batches:
        yield from writer(batch)


class BatchWriter:
    """Segments batches and writes what is asked for below OUT.

    Args:
        segmenter: the model.
        root: folder that images are named below.
        out: folder to write to.
        look: what is drawn.
        told: hears of the rows of an image that is segmented in windows.

    Attributes:
        say: is given each remark, what it is about first.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        root: Path | str,
        out: Path,
        look: Look,
        told: Told | None = None,
    ) -> None:
        self.segmenter, self.root, self.out, self.look = segmenter, root, out, look
        self.told = told
        self.say: Callable[[object, str], None] = self.say_once
        self._said: set[object] = set()

    def __call__(self, batch: Batch) -> Iterator[Written]:
        """Segment all, and write the files of those that are named."""
        with local_copies(batch.places) as paths:
            results = self._results(paths) if not batch.strips else [self._joined(batch)]
            for place, path, result in zip(batch.places, paths, results, strict=True):
                image = image_name(place, self.root)
                if image in batch.names:
                    yield self._written(place, image, batch.names[image], path, result)

    def _written(
        self, place: Place, image: str, name: str, path: Path | ValueError, result: Result
    ) -> Written:
        try:
            if isinstance(result, ValueError):
                raise result
            files = write_files(result, self.out, name, self.look)
        except ValueError as error:
            text = " ".join(str(error).split())
            if isinstance(path, Path):  # the name of a copy tells nothing
                text = text.replace(str(path), str(place))
            fault = text if str(place) in text else f"{place}: {text}"
            return Written(place, image, {}, [], fault)
        remove_strips(self.out, name)
        if why := result.where.no_scale() if result.where else "":
            self.say(("area", why), f"{place}: no square metres, for {why}")
        return Written(place, image, files, result.areas())

    def _results(self, paths: Sequence[Path | ValueError]) -> list[Result]:
        """Together if all of them can be read, else one by one."""
        try:
            opened = [self._opened(path) for path in paths]
            for rows in opened:
                self._say_what_shrinks(rows)
            if self.look.inside:
                return [self.segmenter(rows) for rows in opened]
            return list(self.segmenter.together(opened, len(opened), self.told))
        except ValueError as error:
            if len(paths) == 1:
                return [error]
        return [result for path in paths for result in self._results([path])]

    def _opened(self, path: Path | ValueError) -> Rows:
        if isinstance(path, ValueError):
            raise path
        return self.segmenter.open(path)

    def _joined(self, batch: Batch) -> Result:
        """Of a raster whose strips are there."""
        try:
            labels = joined(self.out, batch.strips)
            return self.segmenter.result(labels, self.segmenter.open(batch.strips[0].path))
        except ValueError as error:
            return error

    def _say_what_shrinks(self, rows: Rows) -> None:
        own, raster = rows.shape[:2], is_raster(rows)
        size = self.segmenter.size.of(*own, raster)
        if size[0] < own[0]:
            name = getattr(rows, "path", Path("image")).name
            self.say(("size", raster), self.segmenter.size.sentence(name, own, size))

    def say_once(self, what: object, sentence: str) -> None:
        """Log the first remark on each thing."""
        if what not in self._said:
            self._said.add(what)
            print_log(sentence, logger="current", level=logging.WARNING)
