"""Data sets that are a folder: images alone, or images with label maps."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..ops.matching import IGNORE
from ..registry import DATASETS
from .badfile import BadFileError
from .base import SegDataset, TransformConfig
from .files import (
    LABEL_SUFFIXES,
    may_hide,
    read_label,
    read_list,
    read_pixels,
    read_text,
    stored_type,
)
from .pixels import Pixels
from .scan import OTHER, image_folder, scan
from .units import Units, units_of

LabelMap = Mapping[str, int] | Mapping[int, int] | Mapping[str | int, int] | str
LabelTable = npt.NDArray[np.int64]


def list_images(root: str | Path, lists: Sequence[str] = ()) -> list[Path]:
    """Image files of a folder data set, as :func:`scan` finds them; the log says what it left out.

    Args:
        root: folder with ``images/``, or of images.
        lists: list files below ``root``; each line names an image by path or stem below
            ``images/``. Without lists all images are taken.

    Raises:
        FileNotFoundError: for a missing folder, list or listed image.
        ValueError: as :func:`scan`.
    """
    found = scan(root)
    quiet = set(found.left_out) <= {OTHER}
    print_log(found.sentence(), logger="current", level=logging.INFO if quiet else logging.WARNING)
    if not lists:
        return found.paths
    by_name = {item_name(path, Path(root)): path for path in found.paths}
    by_name |= {str(path.relative_to(found.root)): path for path in found.paths}
    wanted = [(name, entry) for name in lists for entry in read_list(Path(root) / name)]
    for name, entry in wanted:
        if entry not in by_name:
            raise FileNotFoundError(
                f"{Path(root) / name} lists {entry!r}, not found in {found.sentence()}"
            )
    return [by_name[entry] for _, entry in wanted]


def fingerprint(names: Sequence[str]) -> str:
    """sha256 over the sorted names, one a line: equal for equal sets of items."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


@DATASETS.register_module()
class ImageFolder(SegDataset):
    """Any folder of images without labels.

    Args:
        root: folder with ``images/``, or of images; searched below as well.
        bands: bands of every image, 1-4 or more.
        lists: list files below ``root``, to take a part only.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
        value_range: values of the samples that become 0 and 1; default the whole range of their
            type (of floats: 0 to 1). All images have the type of the first.

    Attributes:
        units: type and range of the samples.
        masked: whether an image may hold pixels that are no data.
    """

    def __init__(
        self,
        root: str,
        bands: int = 3,
        lists: Sequence[str] = (),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.root = Path(root)
        self.bands = bands
        self.lists = tuple(lists)
        self.paths = list_images(root, lists)
        self.units = units_of_first(self.paths, value_range)
        self.masked = any(_may_hide(path) for path in self.paths)
        super().__init__((), transforms, seed, max_bad_images)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> dict[str, Any]:
        """Read image ``index``; with ``valid`` (H, W) bool in a set that is ``masked``."""
        pixels = read_pixels(self.paths[index], self.bands, self.units)
        return dict(img=pixels.image, name=self.name(index)) | _valid(pixels, self.masked)

    def name(self, index: int) -> str:
        """Path of image ``index`` below the image folder, without suffix."""
        return item_name(self.paths[index], self.root)

    def protocol(self) -> dict[str, Any]:
        """Which images these are."""
        names = [item_name(path, self.root) for path in self.paths]
        return super().protocol() | dict(
            root=self.root.name, split=list(self.lists) or "all", items_sha256=fingerprint(names)
        )


@DATASETS.register_module()
class LabelledFolder(SegDataset):
    """Images with label maps: ``images/``, ``labels/`` (same path and stem), ``classes.txt``.

    A label map holds raw values; 255 is ignored. Without ``label_map`` raw value i is the i-th
    line of ``classes.txt``.

    Args:
        root: the folder.
        bands: bands of every image.
        lists: list files below ``root``, to take a part only.
        label_map: raw value or raw class name -> class (255 = ignored), as a dict or as
            ``FILE.json#KEY`` below ``root`` with ``{"class_names": [...], "map": {...}}``.
        classes: class names behind ``label_map``; a JSON table brings its own.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
        value_range: see :class:`ImageFolder`, as are the attributes.

    Raises:
        FileNotFoundError: for missing files, a label among them.
        ValueError: for an inconsistent class table.
        BadFileError: when an item is read: label of another size, or out of range.
    """

    def __init__(
        self,
        root: str,
        bands: int = 3,
        lists: Sequence[str] = (),
        label_map: LabelMap | None = None,
        classes: Sequence[str] | None = None,
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.root = Path(root)
        names, self.table = label_table(self.root, label_map, classes)
        self.bands = bands
        self.lists = tuple(lists)
        self.paths = list_images(root, lists)
        self.labels = [self._label_of(path) for path in self.paths]
        self.units = units_of_first(self.paths, value_range)
        self.masked = any(_may_hide(path) for path in self.paths)
        super().__init__(names, transforms, seed, max_bad_images)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> dict[str, Any]:
        """Read image and label map ``index``; pixels that are no data are ignored (255)."""
        label_path = self.labels[index]
        pixels, label = read_pair(self.paths[index], label_path, self.bands, self.units)
        classes = apply_table(label, self.table, label_path).astype(np.uint8)
        found = dict(img=pixels.image, gt_seg_map=classes, name=self.name(index))
        return found | _valid(pixels, self.masked)

    def name(self, index: int) -> str:
        """Path of image ``index`` below the image folder, without suffix."""
        return item_name(self.paths[index], self.root)

    def protocol(self) -> dict[str, Any]:
        """Which images and labels these are."""
        names = [item_name(path, self.root) for path in self.paths]
        return super().protocol() | dict(
            root=self.root.name,
            split=list(self.lists) or "all",
            items_sha256=fingerprint(names),
            classes=list(self.classes),
            label_table_sha256=hashlib.sha256(self.table.astype("<i8").tobytes()).hexdigest(),
        )

    def _label_of(self, path: Path) -> Path:
        label = find_label(path, self.root)
        if label is None:
            stem = self.root / "labels" / path.relative_to(image_folder(self.root))
            raise FileNotFoundError(
                f"{path}: no label map {stem.with_suffix('')}{{{','.join(LABEL_SUFFIXES)}}}; use "
                "ImageFolder for images without labels"
            )
        return label


_UNKNOWN = 256
"""Table entry of a raw value that no class table names."""


def find_label(path: Path, root: Path) -> Path | None:
    """The label map of an image below ``root``, if there is one.

    Raises:
        ValueError: if there are several.
    """
    stem = root / "labels" / path.relative_to(image_folder(root))
    candidates = (stem.with_suffix(suffix) for suffix in LABEL_SUFFIXES)
    found = [label for label in candidates if label.is_file()]
    if len(found) > 1:
        names = " and ".join(label.name for label in found)
        raise ValueError(f"{path}: has {len(found)} label maps, {names} in {stem.parent}: keep one")
    return found[0] if found else None


def read_pair(
    path: Path, label_path: Path, bands: int, units: Units | None = None
) -> tuple[Pixels, LabelTable]:
    """Image and raw labels (H, W) int64, those of pixels without data ignored (255).

    Raises:
        BadFileError: if either cannot be read, or they differ in size.
    """
    pixels, label = read_pixels(path, bands, units), read_label(label_path)
    height, width = pixels.image.shape[:2]
    if label.shape != (height, width):
        raise BadFileError(
            label_path,
            f"label map of {label.shape[1]} x {label.shape[0]} pixels for an image of "
            f"{width} x {height} ({path}){_turned(label.shape, (height, width))}",
            "label_size",
        )
    if pixels.valid is not None:
        label = np.where(pixels.valid, label, IGNORE)
    return pixels, label


def _turned(label: tuple[int, ...], image: tuple[int, int]) -> str:
    """What to do where a map lies as the sensor did and its image as it is shown."""
    if label != image[::-1]:
        return ""
    return (
        ": they are turned against each other; images are read as their EXIF orientation shows "
        "them, so turn the map or give it the same tag"
    )


def units_of_first(paths: Sequence[Path], value_range: tuple[float, float] | None = None) -> Units:
    """Units of a set's images: those of the first that can be read; 8 bits if none of some can."""
    for path in paths[:8]:
        try:
            return units_of(stored_type(path), value_range)
        except ValueError:  # named when it is read
            continue
    return units_of("uint8", value_range)


def _may_hide(path: Path) -> bool:
    try:
        return may_hide(path)
    except BadFileError:  # named when it is read
        return False


def _valid(pixels: Pixels, masked: bool) -> dict[str, Any]:
    """``valid`` of an image, in every item of a set or in none: batches are of one make."""
    if not masked:
        return {}
    whole = np.ones(pixels.image.shape[:2], bool)
    return dict(valid=whole if pixels.valid is None else pixels.valid)


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


def item_name(path: Path, root: Path) -> str:
    """An item's name: its path below the image folder, without suffix."""
    return path.relative_to(image_folder(root)).with_suffix("").as_posix()


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
            "line) or give `classes`"
        )
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
