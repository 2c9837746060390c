"""Label maps of a folder: class names, the table raw value -> class, and faults to name early."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..io.badfile import BadFileError
from ..io.images import read_label, read_list, read_text
from ..ops.matching import IGNORE, absence

LabelMap = Mapping[str, int] | Mapping[int, int] | Mapping[str | int, int] | str
LabelTable = npt.NDArray[np.int64]
_UNKNOWN = 256
"""Table entry of a raw value that no class table names."""
_LOOKED_AT = 1000
"""Label maps read at the start to see that every class occurs; most sets show all in a few."""


def apply_table(label: LabelTable, table: LabelTable, path: Path) -> LabelTable:
    """Raw labels (H, W) to the table's classes.

    Args:
        label: raw values.
        table: (256,) from :func:`label_table`.
        path: the file, for the error.

    Raises:
        BadFileError: for a raw value that the table does not know.
    """
    known = (label >= 0) & (label < 256)
    mapped = table[np.where(known, label, 0)]
    bad = ~known | (mapped == _UNKNOWN)
    if bad.any():
        raise BadFileError(
            path,
            f"label values {np.unique(label[bad])[:8].tolist()} out of range; known are "
            f"{np.flatnonzero(table != _UNKNOWN).tolist()} ({IGNORE} is ignored)",
            "label_range",
        )
    return mapped


def demand_same_size(
    path: Path, label: tuple[int, ...], image_path: Path, image: tuple[int, ...]
) -> None:
    """BadFileError for a label map of another height and width than its image.

    Args:
        path: of the label map.
        label, image: shapes that begin with height and width.
        image_path: of the image.
    """
    if label[:2] == image[:2]:
        return
    hint = ""
    if label[:2] == image[1::-1]:
        hint = (
            ": they are turned against each other; images are read as their EXIF orientation "
            "shows them, so turn the map or give it the same tag"
        )
    raise BadFileError(
        path,
        f"label map of {label[1]} x {label[0]} pixels for an image of {image[1]} x {image[0]} "
        f"({image_path}){hint}",
        "label_size",
    )


def label_table(
    root: Path, label_map: LabelMap | None, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], LabelTable]:
    """Class names and the table raw value -> class: (256,) with 255 ignored, 256 unknown."""
    raw_names = read_list(root / "classes.txt") if (root / "classes.txt").is_file() else []
    if isinstance(label_map, str):
        label_map, classes = _read_label_map(root, label_map, classes)
    names = tuple(classes or raw_names)
    if not 1 <= len(names) <= IGNORE:
        raise ValueError(
            f"{root}: {len(names)} class names, expected 1..{IGNORE}; write classes.txt (one a "
            "line), give a table of them (--label-map), or rename labels/ to train without scoring"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{root}: class names {twice} stand for more than one class; name each")
    table = np.full(256, _UNKNOWN, np.int64)
    if label_map is None:
        table[: len(names)] = np.arange(len(names))
    for raw, value in (label_map or {}).items():
        position = raw_names.index(raw) if raw in raw_names else _as_raw(raw, root)
        if not (0 <= value < len(names) or value == IGNORE):
            raise ValueError(f"label_map sends {raw!r} to {value}, expected 0..{len(names) - 1}")
        table[position] = value
    table[IGNORE] = IGNORE
    return names, table


def _as_raw(raw: str | int, root: Path) -> int:
    if not str(raw).isdigit() or not 0 <= int(raw) < 256:
        raise ValueError(f"label_map names {raw!r}, which {root / 'classes.txt'} does not")
    return int(raw)


def _read_label_map(
    root: Path, reference: str, classes: Sequence[str] | None
) -> tuple[Mapping[str | int, int], Sequence[str] | None]:
    name, _, key = reference.partition("#")
    path = root / name if (root / name).is_file() else Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"label_map {reference!r}: no file {root / name}")
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"label_map {reference!r}: {path} is not JSON: {error}") from error
    entry = content.get(key) if key else content
    if not isinstance(entry, dict) or "map" not in entry:
        keys = [k for k, v in content.items() if isinstance(v, dict)]
        raise ValueError(f"label_map {reference!r}: no table there; {path} has {keys}")
    return entry["map"], classes or entry.get("class_names")


def check_classes(
    root: Path, labels: Sequence[Path], names: Sequence[str], table: LabelTable
) -> None:
    """Say which named classes have no pixel in a set that is to be scored.

    Args:
        root: of the set, for the message.
        labels: its label maps; read until every class was seen, the first 1000 at most. Bad ones
            are passed over here and named when they are scored.
        names: of the classes.
        table: (256,) from :func:`label_table`.

    Raises:
        ValueError: if every pixel of all of them is ignored.
    """
    missing, raw = set(range(len(names))), set[int]()
    seen = 0
    for path in labels[:_LOOKED_AT]:
        try:
            values = np.unique(read_label(path))
            classes = apply_table(values, table, path)
        except BadFileError:
            continue
        seen += 1
        raw |= set(values.tolist())
        missing -= set(classes.tolist())
        if not missing:
            return
    absent = [names[number] for number in sorted(missing)]
    if seen and len(missing) == len(names) and seen == len(labels):
        raise ValueError(
            f"{root}: all pixels of {seen} label maps are ignored ({IGNORE}), so nothing can be "
            "scored: write class numbers into them, or train without labels/"
        )
    if seen:
        sentence = absence(absent, len(names), raw)
        print_log(f"{root}: {sentence}", logger="current", level=logging.WARNING)
