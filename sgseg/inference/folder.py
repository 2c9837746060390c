"""Segment an image or all images of a folder into an output folder, and go on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..datasets.folder import scan
from .batches import Batch, BatchWriter, Engine, Written, here
from .manifest import Manifest
from .outputs import Look, image_name, output_names, write_parquet, write_tables
from .segmenter import TOGETHER, Segmenter, Told

_LARGE = 4_000_000
"""Bytes of a file that is segmented by itself."""


class BadImagesError(ValueError):
    """Images of a folder that were not segmented; the others were.

    Args:
        faults: path -> why.
        total: images in all.
    """

    def __init__(self, faults: dict[Path, str], total: int) -> None:
        listed = "\n".join(f"  {fault}" for fault in faults.values())
        super().__init__(f"{len(faults)} of {total} images were not segmented:\n{listed}")
        self.faults = faults


def images_to_segment(source: str | Path, out: str | Path) -> tuple[list[Path], Path]:
    """The images of a source and the folder that they are named below; those in ``out`` are none.

    The log says what else was in the folder, and why it was left out.

    Raises:
        FileNotFoundError: for a missing source, or one without images.
        ValueError: for an ``out`` whose label maps would become the source's own.
    """
    seen = scan(source)
    out = Path(out).resolve()
    if not Path(source).is_file() and out in (Path(source).resolve(), seen.root.resolve()):
        raise ValueError(
            f"{out}: is the folder of the images; its labels/ would be taken for true labels. "
            "Give another --out"
        )
    paths = [path for path in seen.paths if not path.resolve().is_relative_to(out)]
    if not paths:
        raise FileNotFoundError(f"{source}: no image but what was written to {out}")
    if seen.left_out:
        print_log(seen.sentence(), logger="current", level=30)
    return paths, Path(source) if Path(source).is_dir() else seen.root


class Prediction:
    """The segmentation of a folder: iterated over, it segments what is missing.

    Writes below ``out``, for an image ``a/x.jpg`` of the source, ``labels/a/x.png`` (an indexed
    PNG, 255: no data; ``.tif`` where the image has a georeference), ``overlays/a/x.png`` (or
    ``.tif``) and ``pictures/a/x.png``; ``areas.csv`` and ``classes.json`` of all; and
    ``manifest.jsonl``, by which a later call knows what is finished.

    Args:
        segmenter: the model.
        source: an image, or a folder.
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
        FileNotFoundError: for a missing source, or one without images.
        FileExistsError: see :class:`Manifest`.
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
        self.paths, self.root = images_to_segment(source, out)
        about = _arguments(segmenter, source, self.look)
        self.manifest = Manifest(self.out, about, overwrite)
        self.names = output_names(self.paths, self.root, self.manifest.names)
        self.missing = self._find_missing()
        self.faults: dict[Path, str] = {}
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

    def _find_missing(self) -> list[Path]:
        return [p for p in self.paths if not self.manifest.is_done(self._image(p), p)]

    def _segment_missing(self, missing: set[Path]) -> Iterator[Written]:
        writer = BatchWriter(self.segmenter, self.root, self.out, self.look, self.told)
        try:
            for done in self.engine(writer, self._batches(missing)):
                if done.fault:
                    self.faults[done.path] = done.fault
                    continue
                self.manifest.finish(done.image, done.path, done.files, done.areas)
                yield done
        finally:
            write_tables(self.out, self.segmenter.classes, self.manifest.areas())
            if self.parquet:
                write_parquet(self.out, self.manifest.areas())

    def _batches(self, missing: set[Path]) -> Iterator[Batch]:
        """Those with an image that is missing, noted as begun when they are asked for."""
        # Batches are those of all images: what is rounded in one is the same after a restart.
        for part in self._parts():
            wanted = map(self._image, filter(missing.__contains__, part))
            if names := {image: self.names[image] for image in wanted}:
                self.manifest.begin(names)
                yield Batch(part, names)

    def _parts(self) -> Iterator[list[Path]]:
        """Large files alone, so that a call that is killed loses no more than one of them."""
        part: list[Path] = []
        for path in self.paths:
            if part and (len(part) == self.batch_size or _is_large(path) or _is_large(part[-1])):
                yield part
                part = []
            part.append(path)
        if part:
            yield part

    def _image(self, path: Path) -> str:
        return image_name(path, self.root)


def _is_large(path: Path) -> bool:
    return path.stat().st_size > _LARGE


def _arguments(segmenter: Segmenter, source: str | Path, look: Look) -> dict[str, Any]:
    """All that the files of a prediction depend on, by the names that a user knows."""
    return dict(
        model=segmenter.identity,
        source=str(Path(source).resolve()),
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
) -> Iterator[tuple[Path, dict[str, float]]]:
    """Segment an image or all images of a folder, see :class:`Prediction`.

    Yields:
        The path of each image that was missing, and the share of every class that occurs in it.
    """
    look = Look(pictures=pictures)
    for done in Prediction(segmenter, source, out, batch_size, look, overwrite):
        yield done.path, {area.name: area.share for area in done.areas if area.pixels}
