"""Data sets that are a folder: images alone, or images with label maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import SegDataset, TransformConfig
from .files import LABEL_SUFFIXES, BadFileError, find_images, read_image, read_label, read_list

LabelMap = Mapping[str, int] | Mapping[int, int] | Mapping[str | int, int] | str
LabelTable = npt.NDArray[np.int64]


def image_folder(root: str | Path) -> Path:
    """``root/images`` if there is one, else ``root`` itself."""
    root = Path(root)
    return root / "images" if (root / "images").is_dir() else root


def list_images(root: str | Path, lists: Sequence[str] = ()) -> list[Path]:
    """Image files of a folder data set.

    Args:
        root: folder with ``images/``, or of images.
        lists: list files below ``root``; each line names an image by path or stem below
            ``images/``. Without lists all images are taken.

    Raises:
        FileNotFoundError: for a missing folder, list or listed image.
    """
    folder = image_folder(root)
    found = find_images(folder)
    first: dict[str, Path] = {}
    for path in found:
        twin = first.setdefault(item_name(path, Path(root)), path)
        if twin is not path:
            raise ValueError(f"{twin} and {path} share one name; labels could not be told apart")
    if not lists:
        return found
    by_name = {item_name(path, Path(root)): path for path in found}
    by_name |= {str(path.relative_to(folder)): path for path in found}
    wanted = [(name, entry) for name in lists for entry in read_list(Path(root) / name)]
    for name, entry in wanted:
        if entry not in by_name:
            raise FileNotFoundError(f"{Path(root) / name} lists {entry!r}, not found in {folder}")
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
    """

    def __init__(
        self,
        root: str,
        bands: int = 3,
        lists: Sequence[str] = (),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
    ) -> None:
        self.root = Path(root)
        self.bands = bands
        self.lists = tuple(lists)
        self.paths = list_images(root, lists)
        super().__init__((), transforms, seed, max_bad_images)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> dict[str, Any]:
        """Read image ``index``."""
        return dict(img=read_image(self.paths[index], self.bands), name=self.name(index))

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
    ) -> None:
        self.root = Path(root)
        names, self.table = label_table(self.root, label_map, classes)
        self.bands = bands
        self.lists = tuple(lists)
        self.paths = list_images(root, lists)
        self.labels = [self._label_of(path) for path in self.paths]
        super().__init__(names, transforms, seed, max_bad_images)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> dict[str, Any]:
        """Read image and label map ``index``."""
        label_path = self.labels[index]
        image, label = read_pair(self.paths[index], label_path, self.bands)
        return dict(
            img=image,
            gt_seg_map=apply_table(label, self.table, label_path).astype(np.uint8),
            name=self.name(index),
        )

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
    """The label map of an image below ``root``, if there is one."""
    stem = root / "labels" / path.relative_to(image_folder(root))
    found = (stem.with_suffix(suffix) for suffix in LABEL_SUFFIXES)
    return next((label for label in found if label.is_file()), None)


def read_pair(path: Path, label_path: Path, bands: int) -> tuple[npt.NDArray[Any], LabelTable]:
    """Image (H, W, bands) and raw labels (H, W) int64.

    Raises:
        BadFileError: if either cannot be read, or they differ in size.
    """
    image, label = read_image(path, bands), read_label(label_path)
    if label.shape != image.shape[:2]:
        raise BadFileError(
            label_path,
            f"label map of {label.shape[1]} x {label.shape[0]} pixels for an image of "
            f"{image.shape[1]} x {image.shape[0]} ({path})",
            "label_size",
        )
    return image, label


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"label_map {reference!r}: {path} is not JSON: {error}") from error
    entry = content.get(key) if key else content
    if not isinstance(entry, dict) or "map" not in entry:
        keys = [k for k, v in content.items() if isinstance(v, dict)]
        raise ValueError(f"label_map {reference!r}: no table there; {path} has {keys}")
    return entry["map"], classes or entry.get("class_names")
