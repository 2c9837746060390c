"""Potsdam (6 classes) and Potsdam3: patches of RGBIR aerial tiles (ISPRS 2D labelling contest)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import TransformConfig
from .folder import LabelledFolder

CLASSES = ("impervious_surface", "building", "low_vegetation", "tree", "car", "clutter")
MERGED = ("road_and_car", "building_and_clutter", "vegetation_and_tree")
SIX_TO_THREE = (0, 1, 2, 2, 0, 1)


def _table(classes: Sequence[int]) -> np.ndarray:
    table = np.full(256, IGNORE, np.uint8)
    table[: len(classes)] = classes
    return table


@DATASETS.register_module()
class Potsdam(LabelledFolder):
    """Potsdam patches with six classes and four bands.

    Layout: ``images/NAME.tif`` (or NPY) of 200 x 200 pixels with bands R, G, B, IR, and
    ``labels/NAME.png`` with values 0..5 in the order of :data:`CLASSES`, 255 ignored.

    Args:
        root: the folder.
        bands: 4 for RGBIR, as the paper; 3 if the patches hold RGB only.
        lists: list files below ``root``, to take a part only.
        transforms, seed: see :class:`SegDataset`.
    """

    CLASSES: ClassVar[tuple[str, ...]] = CLASSES
    LABEL_MAP = _table(range(len(CLASSES)))

    def __init__(
        self,
        root: str,
        bands: int = 4,
        lists: Sequence[str] = (),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
    ) -> None:
        raw_to_class = {raw: int(self.LABEL_MAP[raw]) for raw in range(len(CLASSES))}
        super().__init__(root, bands, lists, raw_to_class, self.CLASSES, transforms, seed)


@DATASETS.register_module()
class Potsdam3(Potsdam):
    """Potsdam with three classes: road and car, building and clutter, vegetation and tree."""

    CLASSES = MERGED
    LABEL_MAP = _table(SIX_TO_THREE)
