"""COCO-Stuff (15 stuff classes) and COCO-Stuff3 (sky, plant, ground), as IIC scores them.

Class tables after IIC (xu-ji/IIC, cocostuff_fine_to_coarse); things and unlabelled pixels are
ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import SegDataset, TransformConfig
from .files import BadFileError, find_images, read_image, read_label, read_list
from .folder import fingerprint

STUFF_FINE_IDS: dict[str, tuple[int, ...]] = {
    "ceiling": (101, 102),
    "floor": (100, 113, 114, 115, 116, 117),
    "food": (120, 121, 152, 169),
    "furniture": (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164),
    "rawmaterial": (99, 131, 138, 142),
    "textile": (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167),
    "wall": (170, 171, 172, 173, 174, 175, 176),
    "window": (179, 180),
    "building": (94, 95, 127, 150, 157, 165),
    "ground": (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158),
    "plant": (93, 96, 118, 123, 128, 133, 141, 162, 168),
    "sky": (105, 156),
    "solid": (126, 134, 149, 159, 161, 181),
    "structural": (98, 112, 137, 145, 163),
    "water": (119, 147, 154, 177, 178),
}
"""Fine ids (0..181) of each of the fifteen stuff classes, in class order."""


_RAW = (*range(182), IGNORE)


def _label_map(classes: Sequence[str]) -> npt.NDArray[np.uint8]:
    table = np.full(256, IGNORE, np.uint8)
    for number, name in enumerate(classes):
        table[list(STUFF_FINE_IDS[name])] = number
    return table


class _COCOStuff(SegDataset):
    """Common reader of the official layout; see the two public classes."""

    CLASSES: ClassVar[tuple[str, ...]]
    LABEL_MAP: ClassVar[npt.NDArray[np.uint8]]
    CURATED_LIST: ClassVar[str]

    def __init__(
        self,
        root: str,
        splits: Sequence[str] = ("train2017", "val2017"),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(classes=self.CLASSES, transforms=transforms, seed=seed)
        self.root = Path(root)
        self.splits = tuple(splits)
        self.items = [(split, name) for split in splits for name in self._names(split)]

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> dict[str, Any]:
        """Read image and pixel map ``index``."""
        split, name = self.items[index]
        image = read_image(self.root / "images" / split / f"{name}.jpg", 3)
        path = self.root / "annotations" / split / f"{name}.png"
        label = read_label(path)
        if label.shape != image.shape[:2] or not np.isin(label, _RAW).all():
            raise BadFileError(
                path,
                f"expected a map of {image.shape[:2]} with values 0..181 or {IGNORE}, found "
                f"{label.shape} with values {np.setdiff1d(label, _RAW)[:5].tolist()}",
            )
        return dict(img=image, gt_seg_map=self.LABEL_MAP[label], name=f"{split}/{name}")

    def protocol(self) -> dict[str, Any]:
        """Which images these are."""
        names = [f"{split}/{name}" for split, name in self.items]
        return super().protocol() | dict(
            split=list(self.splits), items_sha256=fingerprint(names), list=self.CURATED_LIST
        )

    def _names(self, split: str) -> list[str]:
        curated = self.root / "curated" / split / f"{self.CURATED_LIST}.txt"
        if curated.is_file():
            return read_list(curated)
        print_log(
            f"{curated} is missing: taking every image of {split}. Published numbers are on the "
            "curated list only and cannot be compared with a run on other images.",
            logger="current",
            level=30,
        )
        return [path.stem for path in find_images(self.root / "images" / split, (".jpg",))]


@DATASETS.register_module()
class COCOStuff15(_COCOStuff):
    """COCO-Stuff with fifteen stuff classes.

    Layout: ``images/{split}/ID.jpg``, ``annotations/{split}/ID.png`` (0..181, 255 unlabelled),
    and the curated list ``curated/{split}/Coco164kFull_Stuff_Coarse_7.txt`` (51,804 images over
    both splits) that the published numbers are on.

    Args:
        root: the folder above ``images``.
        splits: which splits; both are trained on and scored in IIC's protocol.
        transforms, seed: see :class:`SegDataset`.
    """

    CLASSES = tuple(STUFF_FINE_IDS)
    LABEL_MAP = _label_map(CLASSES)
    CURATED_LIST = "Coco164kFull_Stuff_Coarse_7"


@DATASETS.register_module()
class COCOStuff3(_COCOStuff):
    """COCO-Stuff3: sky, plant, ground; all else ignored. Layout as :class:`COCOStuff15`, with
    the curated list ``Coco164kFew_Stuff_6`` (36,660 images)."""

    CLASSES = ("sky", "plant", "ground")
    LABEL_MAP = _label_map(CLASSES)
    CURATED_LIST = "Coco164kFew_Stuff_6"
