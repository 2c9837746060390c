"""COCO-Stuff (15 stuff classes) and COCO-Stuff3 (sky, plant, ground), as IIC scores them.

Class tables after IIC (xu-ji/IIC, cocostuff_fine_to_coarse); things and unlabelled pixels are
ignored. The curated lists are IIC's, known by the sha256 of their sorted ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..io.badfile import BadFileError
from ..io.images import read_image, read_label, read_list
from ..io.units import Units
from ..ops.matching import IGNORE
from ..registry import DATASETS
from .base import TransformConfig
from .cache import find_cache
from .labels import demand_same_size
from .scan import scan
from .split import CachedSource, Source, SplitDataset, spans

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

SPLITS = ("train2017", "val2017")
FULL, FEW = "Coco164kFull_Stuff_Coarse_7", "Coco164kFew_Stuff_6"

PUBLISHED: dict[str, dict[str, tuple[int, str]]] = {
    FULL: {
        "train2017": (49629, "3b837594a81880a70f177afab906fc45147d8b9c2c4f51132f784e41941812f9"),
        "val2017": (2175, "7c629734c88f1a74bba6311e01d4d9fe976df84f07cb4fc86452ce5116e51655"),
    },
    FEW: {
        "train2017": (35228, "5f78b43a1ad7408f590f0404ea86cdfc55e3a991d748a9cb64e5f86663541a6b"),
        "val2017": (1432, "b5b09cbb5258417a40c7a57dfe65f6be455fa64d5a14b6a93bda91642d431fce"),
    },
}
"""Curated list -> split -> number of ids and their :func:`list_sha256`."""

_KNOWN = np.isin(np.arange(256), (*range(182), IGNORE))


def _label_map(classes: Sequence[str]) -> npt.NDArray[np.uint8]:
    table = np.full(256, IGNORE, np.uint8)
    for number, name in enumerate(classes):
        table[list(STUFF_FINE_IDS[name])] = number
    return table


class CuratedList(NamedTuple):
    """A list of image ids that was found on disk."""

    name: str
    split: str
    ids: list[str]
    published: bool
    """Whether the ids are those that the published numbers are on."""
    path: Path


def list_sha256(ids: Iterable[str]) -> str:
    """Identity of a list: sha256 over its sorted ids, one a line, the last line ended too."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(ids)).encode()).hexdigest()


def find_lists(source: str | Path) -> list[CuratedList]:
    """Curated lists in a file, or in the ``.txt`` files below a folder.

    A list is known by its ids, whatever its name. A file that carries a curated list's name and
    split in its path but holds other ids is given as not published.
    """
    source = Path(source)
    keys = [(name, split) for name, parts in PUBLISHED.items() for split in parts]
    known = {PUBLISHED[name][split][1]: (name, split) for name, split in keys}
    lists = []
    for path in [source] if source.is_file() else sorted(source.rglob("*.txt")):
        ids = read_list(path)
        key = known.get(list_sha256(ids))
        where = f"{path.parent.name}/{path.name}"
        named = [(name, split) for name, split in keys if name in path.name and split in where]
        if key or named:
            lists.append(CuratedList(*(key or named[0]), ids, key is not None, path))
    return lists


class COCOTree:
    """COCO-Stuff as it is on disk, whole.

    Images in ``images/{split}`` or ``{split}``; maps in ``annotations/{split}`` (COCO-Stuff's own
    and IIC's layout), ``stuffthingmaps/{split}``, ``stuffthingmaps_trainval2017/{split}`` (the zip
    unpacked) or ``labels/{split}``.

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: when an item is asked for whose split has no such folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def images(self, split: str) -> Path:
        """Folder with the images of a split."""
        return self._folder(split, ("images", ""), "images")

    def labels(self, split: str) -> Path:
        """Folder with the maps of a split."""
        layouts = ("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017", "labels")
        return self._folder(split, layouts, "maps")

    def ids(self, split: str) -> list[str]:
        """Ids of all images of a split, sorted."""
        return sorted(p.stem for p in scan(self.images(split)).paths if p.suffix.lower() == ".jpg")

    def read(self, split: str, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Image (H, W, 3) and fine ids (H, W), 255 unlabelled.

        Raises:
            BadFileError: unreadable, or a map of another size or with unknown values.
        """
        image_path = self.images(split) / f"{name}.jpg"
        image = read_image(image_path, 3)
        path = self.labels(split) / f"{name}.png"
        label = read_label(path)
        demand_same_size(path, label.shape, image_path, image.shape)
        known = (label >= 0) & (label < 256) & _KNOWN[label & 0xFF]
        if not known.all():
            raise BadFileError(
                path,
                f"holds values {np.unique(label[~known])[:5].tolist()}, expected 0..181 or "
                f"{IGNORE}: the maps of stuffthingmaps_trainval2017.zip are wanted",
                "label_range",
            )
        return image, label.astype(np.uint8)

    def _folder(self, split: str, layouts: Sequence[str], what: str) -> Path:
        tried = [self.root / layout / split for layout in layouts]
        for folder in tried:
            if folder.is_dir():
                return folder
        raise FileNotFoundError(
            f"{self.root}: no {what} of {split}; looked for "
            + ", ".join(str(folder.relative_to(self.root)) for folder in tried)
        )


class TreeSource:
    """The images of a tree that a curated list names; without one all, and the log says so."""

    applied = ()
    units = Units()

    def __init__(self, root: str | Path, splits: Sequence[str], curated: str) -> None:
        self.tree = COCOTree(root)
        known = find_lists(self.tree.root / "curated")
        lists = {listed.split: listed for listed in known if listed.name == curated}
        ids = {s: lists[s].ids if s in lists else self.tree.ids(s) for s in splits}
        self.list = curated if lists else None
        self.published = all(s in lists and lists[s].published for s in splits)
        self.spans = spans({split: len(names) for split, names in ids.items()})
        # One block of bytes: a list of strings would be copied into every worker bit by bit.
        self.names = np.array([f"{s}/{name}".encode() for s in splits for name in ids[s]])
        if not self.published:
            print_log(
                f"{root}: the images are not those of the published list {curated}; its file "
                f"belongs into curated/. Numbers on {len(self)} other images cannot be compared "
                "with the published ones.",
                logger="current",
                level=30,
            )

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        """``{split}/{id}``."""
        return self.names[index].decode()

    def encoded_names(self, start: int, end: int) -> npt.NDArray[np.bytes_]:
        """Of these images."""
        return self.names[start:end]

    def read(self, index: int, labels: bool = True) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Read image and map."""
        split, name = self.name(index).split("/", 1)
        return self.tree.read(split, name)

    def facts(self) -> dict[str, Any]:
        """Which list."""
        return dict(list=self.list, published=self.published)


class _COCOStuff(SplitDataset):
    """COCO-Stuff with the classes and the curated list of a subclass."""

    CURATED_LIST: ClassVar[str]

    def __init__(
        self,
        root: str,
        splits: Sequence[str] = SPLITS,
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
    ) -> None:
        source: Source
        cache = find_cache(root, "coco_stuff")
        if cache is not None:
            listed = self.CURATED_LIST if cache.manifest["lists"] else None
            source = CachedSource(cache, splits, listed)
        else:
            source = TreeSource(root, splits, self.CURATED_LIST)
        super().__init__(source, transforms, seed, max_bad_images)


@DATASETS.register_module()
class COCOStuff15(_COCOStuff):
    """COCO-Stuff with fifteen stuff classes.

    Args:
        root: a folder that ``sgseg prepare coco_stuff`` wrote, or the data as they come
            (see :class:`COCOTree`) with the curated lists below ``curated/``: 51,804 images over
            both splits.
        splits: which splits; both are trained on and scored in IIC's protocol.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
    """

    CLASSES = tuple(STUFF_FINE_IDS)
    LABEL_MAP = _label_map(CLASSES)
    CURATED_LIST = FULL


@DATASETS.register_module()
class COCOStuff3(_COCOStuff):
    """COCO-Stuff3: sky, plant, ground; all else ignored.

    As :class:`COCOStuff15`, on the list of 36,660 images.
    """

    CLASSES = ("sky", "plant", "ground")
    LABEL_MAP = _label_map(CLASSES)
    CURATED_LIST = FEW


@DATASETS.register_module()
class COCOStuff3Other(_COCOStuff):
    """COCO-Stuff3 with a fourth, scored class for every other labelled pixel (things too).

    The paper speaks of four labels; the rows it compares with are on three. Never put a number
    on this set beside one on :class:`COCOStuff3`.
    """

    CLASSES = (*COCOStuff3.CLASSES, "other")
    LABEL_MAP = np.where(_KNOWN & (COCOStuff3.LABEL_MAP == IGNORE), 3, COCOStuff3.LABEL_MAP)
    LABEL_MAP = LABEL_MAP.astype(np.uint8)
    LABEL_MAP[IGNORE] = IGNORE
    CURATED_LIST = FEW
