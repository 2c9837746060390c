"""Label maps and pictures of an image or of all images of a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets.folder import scan
from ..datasets.georeference import geo_tags, write_geotiff
from ..datasets.windows import Rows, open_rows
from ..engine.visual import write_png
from .inference import Labels, Segmenter

PICTURE_SIDE = 1024
"""Images beyond are drawn from every n-th pixel."""


def segment_folder(
    segmenter: Segmenter,
    source: str | Path,
    out: str | Path,
    batch_size: int = 1,
    pictures: bool = True,
) -> Iterator[tuple[Path, dict[str, float]]]:
    """Segment an image or all images of a folder.

    Writes ``labels/NAME.png`` (class numbers at the image's size), ``labels/NAME.tif`` beside it
    where the image has a georeference, ``pictures/NAME.png`` and ``classes.json`` below ``out``.

    Args:
        segmenter: the model.
        source: an image, or a folder.
        out: folder to write to.
        batch_size: images segmented at once where they have one size; only without pictures,
            which show what the model saw of each.
        pictures: whether pictures are drawn.

    Yields:
        Each image's path and the share of every class that occurs in it.

    Raises:
        FileNotFoundError: for a missing source; BadFileError for an unreadable image.
    """
    source, out = Path(source), Path(out)
    paths, root = (found := scan(source)).paths, found.root
    for folder in ("labels", "pictures") if pictures else ("labels",):
        (out / folder).mkdir(parents=True, exist_ok=True)
    table = {str(number): name for number, name in enumerate(segmenter.classes)}
    (out / "classes.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    size = 1 if pictures else batch_size
    for start in range(0, len(paths), size):
        part = paths[start : start + size]
        # The whole relative path in the name: a/x.jpg and b/x.png do not overwrite each other.
        names = ["__".join(p.relative_to(root).parts).replace(".", "_") for p in part]
        opened = [open_rows(path, segmenter.bands) for path in part]
        if pictures:
            results = [_with_picture(segmenter, opened[0], out / "pictures" / f"{names[0]}.png")]
        else:
            results = _batch(segmenter, opened)
        for path, name, labels in zip(part, names, results, strict=True):
            _write_labels(out / "labels" / name, path, labels)
            values, counts = np.unique(labels, return_counts=True)
            shares = counts / labels.size
            names_of = segmenter.classes
            yield path, {names_of[v]: float(s) for v, s in zip(values, shares, strict=True)}


def _with_picture(segmenter: Segmenter, image: Rows, path: Path) -> Labels:
    height, width, _ = image.shape
    if not segmenter.tiled(height, width):
        pixels = image.rows(0, height)
        labels, state = segmenter(pixels)
        write_png(path, segmenter.picture(pixels, labels, state))
        return labels
    labels = segmenter.large(image)
    step = -(-max(height, width) // PICTURE_SIDE)
    small = _thinned(image, step)
    write_png(path, segmenter.picture(small, labels[::step, ::step], None))
    return labels


def _batch(segmenter: Segmenter, opened: Sequence[Rows]) -> list[Labels]:
    small = [not segmenter.tiled(*image.shape[:2]) for image in opened]
    found = iter(
        segmenter.batch(
            [image.rows(0, image.shape[0]) for image, s in zip(opened, small, strict=True) if s],
            len(opened),
        )
    )
    return [
        next(found) if s else segmenter.large(image) for image, s in zip(opened, small, strict=True)
    ]


def _thinned(image: Rows, step: int, steps: int = 64) -> npt.NDArray[Any]:
    """Every ``step``-th pixel, read a few rows at a time."""
    height = image.shape[0]
    starts = range(0, height, step * steps)
    parts = [image.rows(a, min(a + step * steps, height))[::step, ::step] for a in starts]
    return np.concatenate(parts)


def _write_labels(path: Path, image: Path, labels: Labels) -> None:
    write_png(path.with_name(f"{path.name}.png"), labels[:, :, None])
    tags = geo_tags(image)
    if tags:
        write_geotiff(path.with_name(f"{path.name}.tif"), labels, tags)
