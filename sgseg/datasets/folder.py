"""Data sets that are a folder: images alone, or images with label maps."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..io.badfile import BadFileError
from ..io.georeference import is_georeferenced
from ..io.images import (
    LABEL_SUFFIXES,
    may_hide,
    read_label,
    read_list,
    read_pixels,
    stored_size,
    stored_type,
)
from ..io.pixels import Pixels
from ..io.rows import open_rows
from ..io.units import Units, units_of
from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import SegDataset, TransformConfig
from .labels import (
    LabelMap,
    LabelTable,
    apply_table,
    check_classes,
    demand_same_size,
    label_table,
)
from .scan import OTHER, find_labels, image_folder, scan
from .transforms import ResizeShortest

WINDOW = 512
"""Pixels of a side of the windows that a large raster is trained on in."""
_SIZES = 32
"""Images whose sizes are looked at."""
_LINES = 4096
"""Names that are taken at a time."""


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
    wanted = [(name, entry) for name in lists for entry in read_list(Path(root) / name)]
    images = scan(root, [entry for _, entry in wanted])
    level = logging.INFO if set(images.left_out) <= {OTHER} else logging.WARNING
    print_log(images.sentence(), logger="current", level=level)
    if not lists:
        return images.paths
    twins = shared_names(images.paths, Path(root))
    by_name = {item_name(path, Path(root)): path for path in images.paths}
    by_name = {name: path for name, path in by_name.items() if name not in twins}
    by_name |= {str(path.relative_to(images.root)): path for path in images.paths}
    for name, entry in wanted:
        if entry not in by_name:
            raise FileNotFoundError(
                f"{Path(root) / name} lists {entry!r}, "
                + ("the name of several: add the suffix" if entry in twins else "not found")
                + f" in {images.sentence()}"
            )
    return [by_name[entry] for _, entry in wanted]


def fingerprint(count: int, names: Callable[[int, int], npt.NDArray[np.bytes_]]) -> str:
    """sha256 over the sorted names, one a line: equal for equal sets of items.

    Names that are in order, as a prepared cache has them, are in memory a few at a time.

    Args:
        count: of the items.
        names: first and end index -> those names in UTF-8, whose bytes sort as its characters do.
    """
    digest, last = hashlib.sha256(), b""
    for start in range(0, count, _LINES):
        block = names(start, min(start + _LINES, count))
        if last > block[0] or (block[:-1] > block[1:]).any():
            ordered = np.sort(names(0, count))
            return hashlib.sha256(b"\n".join(ordered.tolist())).hexdigest()
        digest.update(b"\n" * (start > 0) + b"\n".join(block.tolist()))
        last = block[-1]
    return digest.hexdigest()


@DATASETS.register_module()
class ImageFolder(SegDataset):
    """Any folder of images without labels.

    An image with a georeference that is larger than 512 pixels a side is as many items as windows
    of that size cover it, so that a single large raster is enough to train on; only the rows of a
    window are read.

    Args:
        root: folder with ``images/``, or of images; searched below as well.
        bands: bands of every image, 1-4 or more.
        lists: list files below ``root``, to take a part only.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
        value_range: values of the samples that become 0 and 1; default the whole range of their
            type (of floats: 0 to 1). All images have the type of the first.

    Attributes:
        paths: of each item.
        windows: first row and column of each item that is a window.
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
        items = [(path, corner) for path in self.paths for corner in self._corners(path)]
        self.paths, self.windows = [p for p, _ in items], [corner for _, corner in items]
        super().__init__((), transforms, seed, max_bad_images)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> dict[str, Any]:
        """Read image ``index``; with ``valid`` (H, W) bool in a set that is ``masked``."""
        path, corner = self.paths[index], self.windows[index]
        if corner is None:
            return self._item(index, read_pixels(path, self.bands, self.units))
        (top, left), rows = corner, open_rows(path, self.bands, self.units)
        bottom, right = min(top + WINDOW, rows.shape[0]), min(left + WINDOW, rows.shape[1])
        return self._item(index, rows.window(top, bottom, slice(left, right)))

    def _corners(self, path: Path) -> list[tuple[int, int] | None]:
        """First row and column of the windows of a large raster; None of any other image."""
        try:
            if not is_georeferenced(path):
                return [None]
            height, width = stored_size(path)
        except BadFileError:  # named when it is read
            return [None]
        if max(height, width) <= WINDOW:
            return [None]
        starts = [
            sorted({min(start, max(side - WINDOW, 0)) for start in range(0, side, WINDOW)})
            for side in (height, width)
        ]
        return [(top, left) for top in starts[0] for left in starts[1]]

    def _item(self, index: int, pixels: Pixels) -> dict[str, Any]:
        """``valid`` is in every item of a set or in none: batches are of one make."""
        item: dict[str, Any] = dict(img=pixels.image, name=self.name(index))
        item["georeferenced"] = is_georeferenced(self.paths[index])
        if not self.masked:
            return item
        whole = np.ones(pixels.image.shape[:2], bool)
        return item | dict(valid=whole if pixels.valid is None else pixels.valid)

    @cached_property
    def scale(self) -> float:
        """The part of its own size at which an image of usual size goes into the model, at most 1.

        The median of a few images; 1 where nothing scales them.
        """
        scaling = [each for each in self.transforms if isinstance(each, ResizeShortest)]
        step = -(-len(self.paths) // _SIZES)
        factors = []
        for path in self.paths[::step] if scaling else []:
            try:
                factors.append(scaling[0].factor(*stored_size(path), is_georeferenced(path)))
            except BadFileError:  # named when it is read
                continue
        return min(float(np.median(factors)), 1.0) if factors else 1.0

    def name(self, index: int) -> str:
        """Path of image ``index`` below the image folder, without suffix; ``@ROW,COLUMN``."""
        corner = self.windows[index]
        place = "" if corner is None else f"@{corner[0]},{corner[1]}"
        return item_name(self.paths[index], self.root) + place

    def protocol(self) -> dict[str, Any]:
        """Which images these are."""
        return super().protocol() | dict(
            root=self.root.name, split=list(self.lists) or "all", items_sha256=self._items_sha256
        )

    @cached_property
    def _items_sha256(self) -> str:
        # Once: every checkpoint and evaluation asks for the protocol.
        def names(start: int, end: int) -> npt.NDArray[np.bytes_]:
            return np.array([self.name(index).encode() for index in range(start, end)])

        return fingerprint(len(self), names)


@DATASETS.register_module()
class LabelledFolder(ImageFolder):
    """Images with label maps: ``images/``, ``labels/`` (same path and stem), ``classes.txt``.

    A label map holds raw values; 255 is ignored. Without ``label_map`` raw value i is the i-th
    line of ``classes.txt``.

    Args:
        root, bands, lists, transforms, seed, max_bad_images, value_range: see :class:`ImageFolder`.
        label_map: raw value or raw class name -> class (255 = ignored), as a dict or as
            ``FILE.json#KEY`` below ``root`` with ``{"class_names": [...], "map": {...}}``.
        classes: class names that ``label_map`` leads to; a JSON table brings its own.

    Raises:
        FileNotFoundError: for missing files, a label among them.
        ValueError: for an inconsistent class table, or if every pixel is ignored.
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
        names, self.table = label_table(Path(root), label_map, classes)
        super().__init__(root, bands, lists, transforms, seed, max_bad_images, value_range)
        self.classes = names
        for first, second, *_ in shared_names(self.paths, self.root).values():
            raise ValueError(f"{first} and {second} share one name, and so one label map")
        self.labels = [self._label_of(path) for path in self.paths]
        check_classes(self.root, self.labels, names, self.table)

    def load(self, index: int) -> dict[str, Any]:
        """Read image and label map ``index``; pixels that are no data are ignored (255)."""
        label_path = self.labels[index]
        pixels, label = read_pair(self.paths[index], label_path, self.bands, self.units)
        classes = apply_table(label, self.table, label_path).astype(np.uint8)
        return self._item(index, pixels) | dict(gt_seg_map=classes)

    def protocol(self) -> dict[str, Any]:
        """Which images and labels these are."""
        return super().protocol() | dict(
            classes=list(self.classes),
            label_table_sha256=hashlib.sha256(self.table.astype("<i8").tobytes()).hexdigest(),
        )

    def _corners(self, path: Path) -> list[tuple[int, int] | None]:
        """An image is one item: it is scored with its label map."""
        return [None]

    def _label_of(self, path: Path) -> Path:
        maps = find_labels(path, self.root)
        if len(maps) > 1:
            raise ValueError(f"{path}: has {len(maps)} label maps, {maps[0]} and {maps[1]}")
        if not maps:
            stem = self.root / "labels" / path.relative_to(image_folder(self.root))
            raise FileNotFoundError(
                f"{path}: no label map {stem.with_suffix('')}{{{','.join(LABEL_SUFFIXES)}}}; use "
                "ImageFolder for images without labels" + _spelling_hint(self.root)
            )
        return maps[0]


def _spelling_hint(root: Path) -> str:
    """What to do where ``Images/`` or ``Labels/`` stands on a disk that tells ``L`` from ``l``."""
    names = {path.name for path in root.iterdir() if path.is_dir()}
    wrong = [n for n in sorted(names) if n.lower() in {"images", "labels"} - names]
    return f"; rename {' and '.join(wrong)}: the names are images/ and labels/" if wrong else ""


def find_label(path: Path, root: Path) -> Path | None:
    """The label map of an image below ``root``, if there is one."""
    return next(iter(find_labels(path, root)), None)


def read_pair(
    path: Path, label_path: Path, bands: int, units: Units | None = None
) -> tuple[Pixels, LabelTable]:
    """Image and raw labels (H, W) int64, those of pixels without data ignored (255).

    Raises:
        BadFileError: if either cannot be read, or they differ in size.
    """
    pixels, label = read_pixels(path, bands, units), read_label(label_path)
    demand_same_size(label_path, label.shape, path, pixels.image.shape)
    if pixels.valid is not None:
        label = np.where(pixels.valid, label, IGNORE)
    return pixels, label


def units_of_first(paths: Sequence[Path], value_range: tuple[float, float] | None = None) -> Units:
    """Units of a set's images: those of the first that can be read; 8 bits if none of some can."""
    units = units_of("uint8", value_range)
    for path in paths[:8]:
        try:
            units = units_of(stored_type(path), value_range)
            break
        except ValueError:  # named when it is read
            continue
    if units != Units():
        sentence = f"{paths[0].parent}: samples are {units}"
        sentence += "; if they end elsewhere, state value_range=(LOW, HIGH)" * units.usual
        print_log(sentence, logger="current")
    return units


def _may_hide(path: Path) -> bool:
    try:
        return may_hide(path)
    except BadFileError:  # named when it is read
        return False


def shared_names(paths: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """Names that more than one image has, with a suffix of its own each."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(item_name(path, root), []).append(path)
    return {name: group for name, group in groups.items() if len(group) > 1}


def item_name(path: Path, root: Path) -> str:
    """An item's name: its path below the image folder, without suffix."""
    return path.relative_to(image_folder(root)).with_suffix("").as_posix()
