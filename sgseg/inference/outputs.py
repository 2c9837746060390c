"""The files of a prediction: a label map, an overlay and a picture an image, tables of all."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from ..io.atomic import write_atomically
from ..io.georeference import write_labels, write_picture
from ..io.images import write_png
from ..io.jsonfile import write_json
from .areas import Area, summed
from .result import Segmentation

FOLDERS = ("labels", "overlays", "pictures")
ALL = "all images"
"""What the last rows of areas.csv are called."""
COLUMNS = ("image", "value", "class", "pixels", "share", "square_metres")
PARQUET = "areas.parquet"
ROWS = 1_000_000
"""Of a file of ``areas.parquet/``."""
LONGEST = 180
"""Bytes of a file's name; file systems take 255, and a suffix and a number are added to it."""


class Look(NamedTuple):
    """What is drawn of an image beside its label map."""

    opacity: float = 0.5
    """Of the colours of an overlay, 0 to 1."""
    pictures: bool = True
    """Whether there are overlays and pictures at all."""
    inside: bool = False
    """Whether pictures show superpixels and node features, one image at a time."""


def output_names(images: Iterable[str], taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """Image below the root -> its name in OUT: the path without suffix, that no other has.

    Where two would share one, also on file systems that do not tell ``A`` from ``a``, the second
    keeps its suffix (``a.png``), or gets a number.

    Args:
        images: their paths below the root.
        taken: names that some have already.

    Raises:
        ValueError: for a path with ``..``.
    """
    names = dict(taken or {})
    used = {_folded(name) for name in names.values()}
    for image in images:
        if image in names:
            continue
        whole = _shortened(Path(image.lstrip("/")))  # a key of a store may begin with one
        if ".." in whole.parts:
            raise ValueError(f"{image}: leads out of the folder of the images; name it otherwise")
        name, number = whole.with_suffix("").as_posix(), 1
        while _folded(name) in used:
            name = whole.as_posix() if number == 1 else f"{whole.as_posix()}_{number}"
            number += 1
        used.add(_folded(name))
        names[image] = name
    return names


def _shortened(path: Path) -> Path:
    if len(os.fsencode(path.name)) <= LONGEST:
        return path
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    stem = os.fsencode(path.stem)[: LONGEST - 20].decode(errors="ignore")
    return path.with_name(f"{stem}_{digest}{path.suffix}")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def write_files(result: Segmentation, out: Path, name: str, look: Look) -> dict[str, str]:
    """Write the files of an image; returns folder -> file below ``out``.

    A label map, and an overlay, is a GeoTIFF where the image has a georeference, else a PNG.
    """
    kind = "tif" if result.where else "png"
    files = dict(labels=f"labels/{name}.{kind}")
    path = out / files["labels"]
    if result.where:
        write_labels(path, result.labels, result.where, result.colours, result.classes)
    else:
        write_png(path, result.labels, result.colours)
    if not look.pictures:
        return files
    files |= dict(overlays=f"overlays/{name}.{kind}", pictures=f"pictures/{name}.png")
    path = out / files["overlays"]
    if result.where:
        height, width = result.labels.shape
        write_picture(path, (height, width), result.overlay_parts(look.opacity), result.where)
    else:
        write_png(path, result.overlay(look.opacity))
    write_png(out / files["pictures"], result.picture(inside=look.inside))
    return files


def possible_files(name: str) -> list[str]:
    """All files below OUT that an image of this name may have."""
    kinds = [("labels", "png"), ("labels", "tif"), ("overlays", "png"), ("overlays", "tif")]
    return [f"{folder}/{name}.{kind}" for folder, kind in [*kinds, ("pictures", "png")]]


def write_tables(
    out: Path, classes: Sequence[str], images: Iterable[tuple[str, Sequence[Area]]]
) -> None:
    """Write ``areas.csv``, its last rows those of all images together, and ``classes.json``.

    Args:
        out: the folder.
        classes: name of each value.
        images: name and areas of each image, gone through once.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)

    def listed() -> Iterator[Sequence[Area]]:
        for image, found in images:
            table.writerows(_row(image, area) for area in found)
            yield found

    table.writerows(_row(ALL, area) for area in summed(classes, listed()))
    # File names may hold bytes that are no text; they come back as they were.
    write_atomically(out / "areas.csv", text.getvalue().encode("utf-8", "surrogateescape"))
    write_json(out / "classes.json", {str(value): name for value, name in enumerate(classes)})


def write_parquet(out: Path, images: Iterable[tuple[str, Sequence[Area]]]) -> None:
    """Write ``areas.parquet/``, the rows of ``areas.csv`` but for the last, in files of a million.

    Args:
        out: the folder.
        images: name and areas of each image, gone through once.
    """
    import pyarrow
    from pyarrow import parquet

    part, whole = out / f"{PARQUET}.part", out / PARQUET
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    kinds = [pyarrow.type_for_alias(name) for name in ("str", "u1", "str", "i8", "f8", "f8")]
    rows = ((_text(image), *area) for image, found in images for area in found)
    for number in count():
        rest = list(islice(rows, ROWS))
        if number and not rest:
            break
        columns = map(list, zip(*rest, strict=True)) if rest else [[] for _ in COLUMNS]
        arrays = [pyarrow.array(c, kind) for c, kind in zip(columns, kinds, strict=True)]
        table = pyarrow.Table.from_arrays(arrays, names=list(COLUMNS))
        parquet.write_table(table, part / f"part-{number:05}.parquet")
    shutil.rmtree(whole, ignore_errors=True)
    part.rename(whole)


def _text(name: str) -> str:
    """A file's name, with the bytes that are no text as ``\\udcff``: Parquet takes UTF-8 alone."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _row(image: str, area: Area) -> list[Any]:
    metres = "" if area.square_metres is None else area.square_metres
    return [image, area.value, area.name, area.pixels, round(area.share, 6), metres]


def foreign_files(out: Path, ours: Collection[str]) -> list[str]:
    """Files in the folders of a prediction that are not its own."""
    found: Iterable[Any] = (path for folder in FOLDERS for path in (out / folder).rglob("*"))
    names = (path.relative_to(out).as_posix() for path in found if path.is_file())
    return sorted(name for name in names if name.removesuffix(".part") not in ours)
