"""Label maps, pictures and areas of an image or of all images of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import track

from ..datasets.folder import scan
from ..io.rows import Rows
from .outputs import Outputs
from .segmenter import Labels, Segmenter

PICTURE_SIDE = 1024
"""Images beyond are drawn from every n-th pixel."""
Result = tuple[Labels, npt.NDArray[Any] | None] | ValueError
"""Label map and picture of an image, or why there is none."""


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
    """The images of a folder and the folder they lie in; what is below ``out`` is none.

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
    return paths, seen.root


def segment_folder(
    segmenter: Segmenter,
    source: str | Path,
    out: str | Path,
    batch_size: int = 1,
    pictures: bool = True,
    overwrite: bool = False,
) -> Iterator[tuple[Path, dict[str, float]]]:
    """Segment an image or all images of a folder.

    Writes below ``out`` ``labels/NAME.png`` (class numbers at the image's size, 255: no data),
    ``labels/NAME.tif`` beside it where the image has a georeference, ``colours/NAME.png`` (the
    same numbers, shown in colours), ``pictures/NAME.png``, ``classes.json``, ``outputs.csv`` (which
    image gave which files) and ``areas.csv`` (what each class covers).

    Args:
        segmenter: the model.
        source: an image, or a folder.
        out: folder to write to.
        batch_size: images segmented at once where they have one size; only without pictures,
            which show what the model saw of each.
        pictures: whether pictures are drawn.
        overwrite: remove the prediction of other images that ``out`` holds.

    Yields:
        Each image's path and the share of every class that occurs among its valid pixels.

    Raises:
        FileNotFoundError: for a missing source, or one without images.
        FileExistsError: for an ``out`` that holds something else.
        BadImagesError: at the end, for images that could not be read or segmented.
    """
    if batch_size < 1:
        raise ValueError(f"--batch-size {batch_size}: one image or more")
    paths, root = images_to_segment(source, out)
    outputs = Outputs(Path(out), paths, root, segmenter.classes, pictures, overwrite)
    faults: dict[Path, str] = {}
    size = 1 if pictures else batch_size
    for start in range(0, len(paths), size):
        part = paths[start : start + size]
        results = [_with_picture(segmenter, part[0])] if pictures else _batch(segmenter, part)
        for path, result in zip(part, results, strict=True):
            if isinstance(result, ValueError):
                faults[path] = _named(path, result)
                outputs.fail(path, faults[path])
            else:
                yield path, outputs.write(path, *result)
    if faults:
        raise BadImagesError(faults, len(paths))


def _named(path: Path, error: ValueError) -> str:
    text = " ".join(str(error).split())
    return text if str(path) in text else f"{path}: {text}"


def _with_picture(segmenter: Segmenter, path: Path) -> Result:
    try:
        image = segmenter.open(path)
        height, width, _ = image.shape
        if not segmenter.tiled(height, width):
            labels, state = segmenter(image)
            return labels, segmenter.picture(image.rows(0, height), labels, state)
        labels = segmenter.large(image)
        step = -(-max(height, width) // PICTURE_SIDE)
        return labels, segmenter.picture(_thinned(image, step), labels[::step, ::step], None)
    except ValueError as error:
        return error


def _batch(segmenter: Segmenter, paths: Sequence[Path]) -> list[Result]:
    """Together if all of them can be read, else one by one."""
    try:
        return [(labels, None) for labels in segmenter.batch(paths, len(paths))]
    except ValueError as error:
        if len(paths) == 1:
            return [error]
    return [result for path in paths for result in _batch(segmenter, [path])]


def _thinned(image: Rows, step: int, steps: int = 64) -> npt.NDArray[Any]:
    """Every ``step``-th pixel, read a few rows at a time."""
    height = image.shape[0]
    starts = range(0, height, step * steps)
    parts = [image.rows(a, min(a + step * steps, height))[::step, ::step] for a in starts]
    return np.concatenate(parts)


def segment_aloud(segmenter: Segmenter, source: str | Path, out: str | Path, *rest: Any) -> None:
    """:func:`segment_folder` with a line an image and a bar, as ``sgseg predict`` shows it.

    Raises:
        SystemExit: with the list of images that were not segmented, after the others.
    """
    say = Console(soft_wrap=True, highlight=False, markup=False)
    results = segment_folder(segmenter, source, out, *rest)
    try:
        for path, shares in track(results, "Segmenting", console=Console(stderr=True)):
            described = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            say.print(f"{path}: {described or 'no pixel with data'}")
    except BadImagesError as error:
        raise SystemExit(str(error)) from error
    say.print(f"Written to {out}")
