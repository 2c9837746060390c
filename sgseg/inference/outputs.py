"""The output files of a prediction: unique names, and tables that assign them to images.

``outputs.csv`` has a row an image: its path, the files it gave, or the fault why it gave none.
``areas.csv`` has a row an image and class, see :mod:`.areas`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..io.georeference import georeference, write_geotiff
from ..io.images import write_png
from ..visualization import palette
from .areas import COLUMNS as AREA_COLUMNS
from .areas import areas

Labels = npt.NDArray[np.uint8]
FOLDERS = ("labels", "colours", "pictures")
COLUMNS = ("image", "labels", "colours", "raster", "picture", "fault")
LONGEST = 180
"""Bytes of a name; file systems take 255, and a suffix and a number are added to it."""


def output_names(paths: Sequence[Path], root: Path) -> list[str]:
    """A name for each image below ``root``, without suffix, that no other one has.

    It is the path with ``__`` between folders and ``_`` for dots; those that would share one, also
    on file systems that do not tell ``A`` from ``a``, are numbered in the order of ``paths``.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = "__".join(Path(os.path.relpath(path, root)).parts).replace(".", "_")
        if len(os.fsencode(stem)) > LONGEST:
            digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:12]
            stem = f"{os.fsencode(stem)[:LONGEST].decode(errors='ignore')}_{digest}"
        name, number = stem, 1
        while _folded(name) in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(_folded(name))
        names.append(name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Outputs:
    """The folder of one prediction.

    Args:
        out: the folder.
        paths: images that will be segmented.
        root: folder that they lie in.
        classes: name of each value of the label maps.
        pictures: whether there will be pictures.
        overwrite: remove what another prediction wrote there, whatever its images.

    Raises:
        FileExistsError: for a folder with files that are not an earlier prediction's of these very
            images.
    """

    def __init__(
        self,
        out: Path,
        paths: Sequence[Path],
        root: Path,
        classes: Sequence[str],
        pictures: bool = True,
        overwrite: bool = False,
    ) -> None:
        if out.exists() and not out.is_dir():
            raise FileExistsError(f"{out}: is a file; name a folder (--out)")
        self.out = out
        self.classes = list(classes)
        self.names = dict(zip(paths, output_names(paths, root), strict=True))
        _clear(out, paths, overwrite)
        for folder in FOLDERS if pictures else FOLDERS[:-1]:
            (out / folder).mkdir(parents=True, exist_ok=True)
        table = {str(number): name for number, name in enumerate(classes)}
        (out / "classes.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
        self._begin("outputs.csv", COLUMNS)
        self._begin("areas.csv", AREA_COLUMNS)

    def write(
        self, path: Path, labels: Labels, picture: npt.NDArray[Any] | None = None
    ) -> dict[str, float]:
        """Write what an image gave; returns the share of each class among its valid pixels."""
        name = self.names[path]
        written = dict(labels=f"labels/{name}.png", colours=f"colours/{name}.png")
        where = georeference(path)
        if where:
            written["raster"] = f"labels/{name}.tif"
        if picture is not None:
            written["picture"] = f"pictures/{name}.png"
        self._append_image(path, written)  # first: a killed run leaves no file without a row
        write_png(self.out / written["labels"], labels)
        write_png(self.out / written["colours"], labels, palette(len(self.classes)))
        if where:
            write_geotiff(self.out / written["raster"], labels, where)
        if picture is not None:
            write_png(self.out / written["picture"], picture)
        covered = areas(labels, self.classes, where.pixel_area() if where else None)
        self._append("areas.csv", [[str(path), *row] for row in covered])
        return {row.name: row.share for row in covered if row.pixels}

    def fail(self, path: Path, fault: str) -> None:
        """Note why an image gave nothing."""
        self._append_image(path, dict(fault=fault))

    def _append_image(self, path: Path, found: dict[str, str]) -> None:
        row = found | dict(image=str(path))
        self._append("outputs.csv", [[row.get(column, "") for column in COLUMNS]])

    def _begin(self, name: str, columns: Sequence[str]) -> None:
        (self.out / name).write_text(",".join(columns) + "\n", encoding="utf-8")

    def _append(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        # File names may hold bytes that are no text; they come back as they were.
        with (self.out / name).open(
            "a", encoding="utf-8", errors="surrogateescape", newline=""
        ) as f:
            csv.writer(f, lineterminator="\n").writerows(rows)


def _opened(path: Path, mode: str) -> IO[str]:
    # File names may hold bytes that are no text; they come back as they were.
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _clear(out: Path, paths: Sequence[Path], overwrite: bool) -> None:
    """Remove the files of an earlier prediction, or refuse to write among those of others."""
    rows = _earlier(out)
    ours = {
        out / row[column]
        for row in rows
        for column in COLUMNS[1:-1]
        if row.get(column) and Path(row[column]).parent.as_posix() in FOLDERS
    }
    there = {path for folder in FOLDERS for path in (out / folder).glob("*")}
    wanted = {path.resolve() for path in paths}
    others = sorted(row["image"] for row in rows if Path(row["image"]).resolve() not in wanted)
    foreign = sorted(str(path.relative_to(out)) for path in there - ours)
    if foreign or (others and not overwrite):
        what = (
            f"files that no prediction names ({foreign[0]}"
            if foreign
            else (f"the prediction of other images ({others[0]}")
        )
        more = len(foreign or others) - 1
        raise FileExistsError(
            f"{out}: holds {what}{f' and {more} more' if more else ''}), and the two would mix; "
            "give another --out" + ("" if foreign else ", or --overwrite to remove that prediction")
        )
    for path in ours:
        path.unlink(missing_ok=True)


def _earlier(out: Path) -> list[dict[str, str]]:
    table = out / "outputs.csv"
    if not table.is_file():
        return []
    with _opened(table, "r") as file:
        return [row for row in csv.DictReader(file) if row.get("image")]
