"""Potsdam (6 classes) and Potsdam3: patches of RGBIR aerial tiles (ISPRS 2D labelling contest)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..io.images import read_image, read_list
from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import TransformConfig
from .cache import find_cache
from .folder import (
    find_label,
    item_name,
    list_images,
    read_pair,
    units_of_first,
)
from .labels import apply_table, label_table
from .split import CachedSource, Source, SplitDataset, spans

CLASSES = ("impervious_surface", "building", "low_vegetation", "tree", "car", "clutter")
MERGED = ("road_and_car", "building_and_clutter", "vegetation_and_tree")
SIX_TO_THREE = (0, 1, 2, 2, 0, 1)
COLOURS = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))
"""R, G, B of each class in ISPRS's label tiles."""

SPLITS = ("unlabelled_train", "labelled_train", "labelled_test")
COUNTS = {"unlabelled_train": 3150, "labelled_train": 4545, "labelled_test": 855}
"""Patches of each split in IIC's protocol: trained on all, scored on the labelled ones."""

LABELLED_TILES = (
    *("2_10", "2_11", "2_12", "3_10", "3_11", "3_12", "4_10", "4_11", "4_12"),
    *("5_10", "5_11", "5_12", "6_7", "6_8", "6_9", "6_10", "6_11", "6_12"),
    *("7_7", "7_8", "7_9", "7_10", "7_11", "7_12"),
)
UNLABELLED_TILES = (
    *("2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15"),
    *("5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13"),
)


def _table(classes: Sequence[int]) -> np.ndarray:
    table = np.full(256, IGNORE, np.uint8)
    table[: len(classes)] = classes
    return table


class PatchFolder:
    """Patches as files: ``images/NAME.tif`` (or NPY ...) and ``labels/NAME.png``.

    ``unlabelled_train.txt``, ``labelled_train.txt`` and ``labelled_test.txt``, where there are
    any of them, name the patches of the splits. Without, patches with a label map are
    ``labelled_train`` and the others ``unlabelled_train``.
    """

    applied = ()

    def __init__(self, root: str | Path, splits: Sequence[str], bands: int) -> None:
        self.root = Path(root)
        self.bands = bands
        listed = any((self.root / f"{split}.txt").is_file() for split in SPLITS)
        paths = list_images(self.root)
        by_name = {item_name(path, self.root): path for path in paths}
        self.paths: list[Path] = []
        counts = {}
        for split in splits:
            if listed:
                found = self._listed(split, by_name)
            else:
                found = [path for path in paths if self._split_of(path) == split]
            self.paths += found
            counts[split] = len(found)
        self.spans = spans(counts)
        self.units = units_of_first(self.paths)
        raw = {value: value for value in range(len(CLASSES))}
        _, self.table = label_table(self.root, raw, CLASSES)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Path below the image folder, without suffix."""
        return item_name(self.paths[index], self.root)

    def encoded_names(self, start: int, end: int) -> npt.NDArray[np.bytes_]:
        """Of these patches."""
        return np.array([self.name(index).encode() for index in range(start, end)])

    def read(
        self, index: int, labels: bool = True
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Read patch and label map, if it has one."""
        path = self.paths[index]
        label_path = find_label(path, self.root)
        if label_path is None:
            return read_image(path, self.bands, self.units), None
        pixels, label = read_pair(path, label_path, self.bands, self.units)
        return pixels.image, apply_table(label, self.table, label_path).astype(np.uint8)

    def facts(self) -> dict[str, Any]:
        """Patches of unknown making."""
        return dict(published=False)

    def _listed(self, split: str, by_name: dict[str, Path]) -> list[Path]:
        path = self.root / f"{split}.txt"
        names = read_list(path) if path.is_file() else []
        missing = [name for name in names if name not in by_name]
        if missing:
            raise FileNotFoundError(f"{path} lists {missing[0]!r}, which is not in the folder")
        return [by_name[name] for name in names]

    def _split_of(self, path: Path) -> str:
        labelled = find_label(path, self.root) is not None
        return "labelled_train" if labelled else "unlabelled_train"


@DATASETS.register_module()
class Potsdam(SplitDataset):
    """Potsdam patches of 200 x 200 pixels with six classes and four bands R, G, B, IR.

    Args:
        root: a folder that ``sgseg prepare potsdam`` wrote, or a :class:`PatchFolder`
            with raw labels 0..5 in the order of :data:`CLASSES`, 255 ignored.
        bands: 4 for RGBIR, as the paper; 3 takes R, G, B of a prepared cache, or of patches that
            hold no more.
        splits: which of :data:`SPLITS`; all are trained on, the labelled ones scored.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
    """

    CLASSES: ClassVar[tuple[str, ...]] = CLASSES
    LABEL_MAP = _table(range(len(CLASSES)))

    def __init__(
        self,
        root: str,
        bands: int = 4,
        splits: Sequence[str] = SPLITS,
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
    ) -> None:
        unknown = set(splits) - set(SPLITS)
        if unknown:
            raise ValueError(f"{type(self).__name__}: splits {sorted(unknown)} not in {SPLITS}")
        source: Source
        cache = find_cache(root, "potsdam")
        if cache is not None:
            source = CachedSource(cache, splits, bands=bands)
        else:
            source = PatchFolder(root, splits, bands)
        super().__init__(source, transforms, seed, max_bad_images)


@DATASETS.register_module()
class Potsdam3(Potsdam):
    """Potsdam with three classes: road and car, building and clutter, vegetation and tree."""

    CLASSES = MERGED
    LABEL_MAP = _table(SIX_TO_THREE)
