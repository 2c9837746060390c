"""Segment an image or all images of a folder into an output folder, and go on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..io.remote import Place, RemoteFile, is_uri
from .batches import Batch, BatchWriter, Engine, Written, here
from .manifest import Manifest, Stamp, stamp_of
from .outputs import PARQUET, Look, output_names, write_parquet, write_tables
from .segmenter import TOGETHER, Segmenter, Told
from .sources import image_name, images_of

_LARGE = 4_000_000
"""Bytes of a file that is segmented by itself."""


class BadImagesError(ValueError):
    """Images of a folder that were not segmented; the others were.

    Args:
        faults: path -> why.
        total: images in all.
    """

    def __init__(self, faults: dict[Place, str], total: int) -> None:
        listed = "\n".join(f"  {fault}" for fault in faults.values())
        super().__init__(f"{len(faults)} of {total} images were not segmented:\n{listed}")
        self.faults = faults


class Prediction:
    """The segmentation of a folder: iterated over, it segments what is missing.

    Writes below ``out``, for an image ``a/x.jpg`` of the source, ``labels/a/x.png`` (an indexed
    PNG, 255: no data; ``.tif`` where the image has a georeference), ``overlays/a/x.png`` (or
    ``.tif``) and ``pictures/a/x.png``; ``areas.csv`` and ``classes.json`` of all; and
    ``manifest.jsonl``, by which a later call knows what is finished.

    Args:
        segmenter: the model.
        source: an image, a folder, a list or a URI, see :func:`.images_of`.
        out: folder to write to.
        batch_size: images in memory at once; those of one size are segmented together.
        look: what is drawn.
        overwrite: remove the prediction of other arguments that ``out`` holds.
        told: hears of the rows of an image that is segmented in windows.
        engine: where batches are segmented; default this process.
        parquet: write ``areas.parquet/`` too.

    Attributes:
        paths: the images.
        missing: those that are not finished.

    Raises:
        FileNotFoundError, ConnectionError, ModuleNotFoundError: see :func:`.images_of`.
        FileExistsError: see :class:`Manifest`.
        ValueError: for an ``out`` that is a URI.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        source: str | Path,
        out: str | Path,
        batch_size: int = TOGETHER,
        look: Look | None = None,
        overwrite: bool = False,
        told: Told | None = None,
        engine: Engine = here,
        parquet: bool = False,
    ) -> None:
        self.look = look or Look()
        if batch_size < 1:
            raise ValueError(f"--batch-size {batch_size}: one image or more")
        if not 0 <= self.look.opacity <= 1:
            raise ValueError(f"--opacity {self.look.opacity}: 0 (the image) to 1 (the colours)")
        self.segmenter, self.out, self.told = segmenter, Path(out), told
        self.engine, self.parquet = engine, parquet
        self.batch_size = 1 if self.look.inside else batch_size
        if is_uri(out):
            raise ValueError(f"--out {out}: a folder of a disk; copy it to the store afterwards")
        self.paths, self.root, described = images_of(source, out)
        about = _arguments(segmenter, described, self.look)
        self.manifest = Manifest(self.out, about, overwrite)
        self.names = output_names(map(self._image, self.paths), self.manifest.names)
        self.missing = self._find_missing()
        self.faults: dict[Place, str] = {}
        gone = sorted(self.manifest.finished.keys() - {self._image(path) for path in self.paths})
        if gone:
            said = f"{len(gone)} images are no longer in the source ({gone[0]}); their maps stay"
            print_log(f"{out}: {said}", logger="current", level=logging.WARNING)

    def __iter__(self) -> Iterator[Written]:
        """Segment and write what is missing; gives the path, files and areas of each image.

        Raises:
            BadImagesError: at the end, for images that could not be read or segmented.
        """
        with self.manifest.held():
            self.missing = self._find_missing()
            yield from self._segment_missing(set(self.missing))
        if self.faults:
            raise BadImagesError(self.faults, len(self.paths))

    def _find_missing(self) -> list[Place]:
        return [p for p in self.paths if not self.manifest.is_done(self._image(p), p)]

    def _segment_missing(self, missing: set[Place]) -> Iterator[Written]:
        writer = BatchWriter(self.segmenter, self.root, self.out, self.look, self.told)
        stamps: dict[str, Stamp] = {}  # from before they are read: what changes then is done again
        try:
            for done in self.engine(writer, self._batches(missing, stamps)):
                if done.fault:
                    self.faults[done.path] = done.fault
                    continue
                self.manifest.finish(done.image, stamps.pop(done.image), done.files, done.areas)
                yield done
        finally:
            if self.manifest.finished:
                write_tables(self.out, self.segmenter.classes, self.manifest.areas())
            # One that is there already would tell of an earlier state.
            if self.manifest.finished and (self.parquet or (self.out / PARQUET).is_dir()):
                write_parquet(self.out, self.manifest.areas())

    def _batches(self, missing: set[Place], stamps: dict[str, Stamp]) -> Iterator[Batch]:
        """Those with an image that is missing, noted as begun when they are asked for."""
        # Batches are those of all images: what is rounded in one is the same after a restart.
        for part in self._parts():
            wanted = {self._image(place): place for place in part if place in missing}
            if names := {image: self.names[image] for image in wanted}:
                stamps |= {image: stamp_of(place) for image, place in wanted.items()}
                self.manifest.begin(names)
                yield Batch(part, names)

    def _parts(self) -> Iterator[list[Place]]:
        """Large files alone, so that a call that is killed loses no more than one of them."""
        part: list[Place] = []
        for path in self.paths:
            if part and (len(part) == self.batch_size or _is_large(path) or _is_large(part[-1])):
                yield part
                part = []
            part.append(path)
        if part:
            yield part

    def _image(self, place: Place) -> str:
        return image_name(place, self.root)


def _is_large(place: Place) -> bool:
    size = place.size if isinstance(place, RemoteFile) else place.stat().st_size
    return size > _LARGE


def _arguments(segmenter: Segmenter, source: str, look: Look) -> dict[str, Any]:
    """All that the files of a prediction depend on, by the names that a user knows."""
    return dict(
        model=segmenter.identity,
        source=source,
        classes=segmenter.classes,
        mapping=segmenter.mapping.tolist(),
        side=segmenter.size.side,
        scale=segmenter.size.scale,
        size_in_training=[segmenter.size.usual, segmenter.size.trained],
        tile=segmenter.tile,
        overlap=segmenter.overlap,
        value_range=segmenter.value_range,
        palette=segmenter.palette,
        opacity=look.opacity,
        pictures=look.pictures,
        inside=look.inside,
    )


def segment_folder(
    segmenter: Segmenter,
    source: str | Path,
    out: str | Path,
    batch_size: int = TOGETHER,
    pictures: bool = True,
    overwrite: bool = False,
) -> Iterator[tuple[Place, dict[str, float]]]:
    """Segment an image or all images of a folder, see :class:`Prediction`.

    Yields:
        The path of each image that was missing, and the share of every class that occurs in it.
    """
    look = Look(pictures=pictures)
    for done in Prediction(segmenter, source, out, batch_size, look, overwrite):
        yield done.path, {area.name: area.share for area in done.areas if area.pixels}
