"""The layouts that :mod:`sgseg.datasets.verify` knows: their items, and how to look at one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..ops.matching import IGNORE
from .cache import INDEX, MANIFEST, Cache, find_cache, sha256, shard_name
from .coco_stuff import PUBLISHED, SPLITS, COCOTree, CuratedList, find_lists
from .files import (
    LABEL_SUFFIXES,
    BadFileError,
    read_image,
    read_label,
    read_list,
)
from .folder import (
    LabelTable,
    apply_table,
    find_label,
    image_folder,
    item_name,
    label_table,
    list_images,
)
from .potsdam import CLASSES, COUNTS, LABELLED_TILES
from .potsdam import SPLITS as POTSDAM_SPLITS
from .prepare.potsdam import (
    OFF_PALETTE_WARNING,
    MatPatches,
    find_tiles,
    is_archive,
    palette_classes,
)


class Fault(NamedTuple):
    """Something that is wrong, and where."""

    kind: str
    """One of :data:`sgseg.datasets.verify.KINDS`."""
    path: str
    message: str


class Finding(NamedTuple):
    """What looking at one item gave."""

    faults: Sequence[Fault] = ()
    digest: bytes | None = None
    """Of the image's pixels."""
    dtype: str | None = None
    size: tuple[int, ...] | None = None


class Layout(Protocol):
    """A way in which data lie on disk; crosses to worker processes by pickling."""

    title: str
    one_size: bool
    """Whether all images must be of one size."""

    def items(self) -> Sequence[Any]:
        """All items, each picklable."""

    def structure(self, published: bool) -> list[Fault]:
        """Faults that no single item has: lists, counts, partners."""

    def notes(self) -> list[str]:
        """What is worth knowing and no fault."""

    def check(self, item: Any) -> Finding:
        """Open an item's files."""

    def key(self, item: Any) -> str:
        """What makes two items the same one."""

    def split_of(self, item: Any) -> str:
        """The item's split."""

    def path(self, item: Any) -> Path:
        """The item's image."""


def find_layout(
    root: str | Path, bands: int | None, size: tuple[int, int] | None, label_map: str | None
) -> Layout:
    """The layout of ``root``; see :func:`sgseg.datasets.verify.verify` for the arguments."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    cache = find_cache(root)
    if cache is not None:
        return CacheLayout(cache)
    if any((root / place / split).is_dir() for place in ("images", "") for split in SPLITS):
        return COCOLayout(root)
    if is_archive(root):
        return ArchiveLayout(root)
    if next(root.rglob("top_potsdam_*_RGBIR.tif"), None):
        return TilesLayout(root)
    return FolderLayout(root, bands, size, label_map)


def _fault(error: BadFileError) -> Fault:
    return Fault(error.kind, str(error.path), error.fault)


def _looked_at(image: np.ndarray | None, faults: list[Fault]) -> Finding:
    if image is None:
        return Finding(faults)
    digest = hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return Finding(faults, digest.digest(), str(image.dtype), image.shape[:2])


class COCOLayout:
    """COCO-Stuff as it comes; items are (split, id)."""

    title = "COCO-Stuff tree"
    one_size = False

    def __init__(self, root: Path) -> None:
        self.tree = COCOTree(root)
        self.splits = [
            split
            for split in SPLITS
            if any((root / place / split).is_dir() for place in ("images", ""))
        ]

    def items(self) -> list[tuple[str, str]]:
        return [(split, name) for split in self.splits for name in self.tree.ids(split)]

    def lists(self) -> list[CuratedList]:
        """Curated lists in ``curated/``."""
        return find_lists(self.tree.root / "curated")

    def structure(self, published: bool) -> list[Fault]:
        faults = []
        for split in self.splits:
            images = set(self.tree.ids(split))
            folder = self.tree.labels(split)
            maps = {path.stem for path in folder.glob("*.png")}
            faults += [
                Fault("missing_partner", str(folder / f"{name}.png"), "no map of this image")
                for name in sorted(images - maps)
            ]
            faults += [
                Fault("missing_partner", str(folder / f"{name}.png"), "a map without its image")
                for name in sorted(maps - images)
            ]
            for listed in self.lists():
                if listed.split == split:
                    faults += [
                        Fault("missing_partner", f"{split}/{name}.jpg", f"listed in {listed.path}")
                        for name in sorted(set(listed.ids) - images)
                    ]
        faults += [self._wrong_list(found) for found in self.lists() if not found.published]
        right = {(found.name, found.split) for found in self.lists() if found.published}
        if published:
            faults += [
                Fault("count", f"curated/{split}/{name}.txt", "the published list is not there")
                for name, parts in PUBLISHED.items()
                for split in parts
                if (name, split) not in right
            ]
        return faults

    @staticmethod
    def _wrong_list(found: CuratedList) -> Fault:
        wanted, digest = PUBLISHED[found.name][found.split]
        return Fault(
            "count",
            str(found.path),
            f"{len(found.ids)} ids, the published list has {wanted} and sha256 {digest}",
        )

    def notes(self) -> list[str]:
        return [] if self.lists() else ["no curated list: published numbers are on lists only"]

    def check(self, item: tuple[str, str]) -> Finding:
        split, name = item
        faults: list[Fault] = []
        image = None
        try:
            image = read_image(self.path(item), 3)
            if (self.tree.labels(split) / f"{name}.png").is_file():
                self.tree.read(split, name)
        except BadFileError as error:
            faults.append(_fault(error))
        return _looked_at(image, faults)

    def key(self, item: tuple[str, str]) -> str:
        return item[1]

    def split_of(self, item: tuple[str, str]) -> str:
        return item[0]

    def path(self, item: tuple[str, str]) -> Path:
        return self.tree.images(item[0]) / f"{item[1]}.jpg"


class TilesLayout:
    """Potsdam's tiles; items are (name, image, label or None)."""

    title = "Potsdam tiles"
    one_size = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tiles = find_tiles(root)

    def items(self) -> list[tuple[str, Path, Path | None]]:
        return [(name, *files) for name, files in self.tiles.items()]

    def structure(self, published: bool) -> list[Fault]:
        images = {path.name.lower().replace("_rgbir", "") for path, _ in self.tiles.values()}
        alone = [
            Fault("missing_partner", str(path), "a label tile without its image tile")
            for path in sorted(self.root.rglob("top_potsdam_*_label.tif"))
            if path.name.lower().replace("_label", "") not in images
        ]
        labelled = sum(label is not None for _, label in self.tiles.values())
        if published and (len(self.tiles), labelled) != (38, 24):
            message = f"{len(self.tiles)} tiles, {labelled} labelled; the protocol has 38 and 24"
            alone.append(Fault("count", str(self.root), message))
        alone += [
            Fault("missing_partner", str(image), "no label tile, and the protocol scores it")
            for name, (image, label) in self.tiles.items()
            if label is None and name in LABELLED_TILES
        ]
        return alone

    def notes(self) -> list[str]:
        return []

    def check(self, item: tuple[str, Path, Path | None]) -> Finding:
        _, path, label_path = item
        faults: list[Fault] = []
        image = None
        try:
            image = read_image(path, 4)
            if label_path is not None:
                faults += self._label_faults(label_path, image.shape[:2])
        except BadFileError as error:
            faults.append(_fault(error))
        return _looked_at(image, faults)

    @staticmethod
    def _label_faults(path: Path, size: tuple[int, ...]) -> list[Fault]:
        colours = read_image(path, 3)
        if colours.shape[:2] != size:
            return [Fault("label_size", str(path), f"is of {colours.shape[:2]}, its tile {size}")]
        off = palette_classes(colours)[1].mean()
        if off > OFF_PALETTE_WARNING:
            message = f"{100 * off:.2f} % of its pixels are off the palette of six colours"
            return [Fault("label_range", str(path), message)]
        return []

    def key(self, item: tuple[str, Path, Path | None]) -> str:
        return item[0]

    def split_of(self, item: tuple[str, Path, Path | None]) -> str:
        return "labelled" if item[2] else "unlabelled"

    def path(self, item: tuple[str, Path, Path | None]) -> Path:
        return item[1]


class ArchiveLayout:
    """IIC's Potsdam archive; items are (split, id)."""

    title = "IIC's Potsdam archive"
    one_size = True

    def __init__(self, root: Path) -> None:
        self.root = root
        lists = {split: root / f"{split}.txt" for split in POTSDAM_SPLITS}
        self.lists = {s: read_list(p) if p.is_file() else [] for s, p in lists.items()}

    def items(self) -> list[tuple[str, str]]:
        on_disk = {path.stem for path in (self.root / "imgs").glob("*.mat")}
        return [(s, name) for s, ids in self.lists.items() for name in ids if name in on_disk]

    def structure(self, published: bool) -> list[Fault]:
        images = {path.stem for path in (self.root / "imgs").glob("*.mat")}
        labels = {path.stem for path in (self.root / "gt").glob("*.mat")}
        listed = {name for ids in self.lists.values() for name in ids}
        scored = {n for s, ids in self.lists.items() if s != "unlabelled_train" for n in ids}
        pairs = [
            (listed - images, "imgs", "is listed and missing"),
            (scored - labels, "gt", "no labels of a labelled patch"),
            (labels - images, "gt", "labels without their patch"),
            (images - listed, "imgs", "is in none of the three lists"),
        ]
        faults = [
            Fault("missing_partner", str(self.root / folder / f"{name}.mat"), message)
            for names, folder, message in pairs
            for name in sorted(names)
        ]
        for split, ids in self.lists.items():
            if not ids or (published and len(ids) != COUNTS[split]):
                message = f"{len(ids)} patches; the protocol has {COUNTS[split]}"
                faults.append(Fault("count", str(self.root / f"{split}.txt"), message))
            if len(set(ids)) != len(ids):
                faults.append(Fault("count", str(self.root / f"{split}.txt"), "names one twice"))
        return faults

    def notes(self) -> list[str]:
        return []

    def check(self, item: tuple[str, str]) -> Finding:
        try:
            (sample,) = MatPatches(self.root, [item[1]]).samples()
        except BadFileError as error:
            return Finding([_fault(error)])
        return _looked_at(sample.image, [])

    def key(self, item: tuple[str, str]) -> str:
        return item[1]

    def split_of(self, item: tuple[str, str]) -> str:
        return item[0]

    def path(self, item: tuple[str, str]) -> Path:
        return self.root / "imgs" / f"{item[1]}.mat"


class FolderLayout:
    """``images/``, ``labels/``, lists; items are (split, image, label or None).

    Lists are the ``.txt`` files in the folder with train, val or test in their name, except
    ``classes.txt``; without any, all images are of the split ``all``.
    """

    title = "folder"

    def __init__(
        self, root: Path, bands: int | None, size: tuple[int, int] | None, label_map: str | None
    ) -> None:
        self.root, self.size = root, size
        self.one_size = False
        self.paths = list_images(root)
        self.bands = bands or _common_bands(self.paths)
        self.labelled = (root / "labels").is_dir()
        self.table: LabelTable | None = None
        if self.labelled and (label_map or (root / "classes.txt").is_file()):
            _, self.table = label_table(root, label_map, None)
        self.lists = {
            path.stem: read_list(path)
            for path in sorted(root.glob("*.txt"))
            if any(word in path.stem for word in ("train", "val", "test"))
        }
        folder = image_folder(root)
        self.by_name = {item_name(path, root): path for path in self.paths}
        self.by_name |= {str(path.relative_to(folder)): path for path in self.paths}

    def items(self) -> list[tuple[str, Path, Path | None]]:
        listed = [
            (split, self.by_name[name])
            for split, names in self.lists.items()
            for name in names
            if name in self.by_name
        ]
        seen = {path for _, path in listed}
        rest = [("all" if not self.lists else "unlisted", p) for p in self.paths if p not in seen]
        return [(split, path, find_label(path, self.root)) for split, path in listed + rest]

    def structure(self, published: bool) -> list[Fault]:
        faults = [
            Fault("missing_partner", str(self.root / f"{split}.txt"), f"lists {name!r}, not there")
            for split, names in self.lists.items()
            for name in names
            if name not in self.by_name
        ]
        for split, names in self.lists.items():
            if len(set(names)) != len(names):
                twice = [name for name, count in Counter(names).items() if count > 1]
                message = f"names {len(twice)} items more than once, {twice[0]!r} is one"
                faults.append(Fault("count", str(self.root / f"{split}.txt"), message))
        if not self.labelled:
            return faults
        faults += [
            Fault("missing_partner", str(path), "no label map of this image in labels/")
            for split, path, label in self.items()
            if label is None and "unlabelled" not in split
        ]
        stems = {path.relative_to(image_folder(self.root)).with_suffix("") for path in self.paths}
        maps = self.root / "labels"
        faults += [
            Fault("missing_partner", str(path), "a label map without its image")
            for path in sorted(maps.rglob("*"))
            if path.suffix.lower() in LABEL_SUFFIXES
            and path.relative_to(maps).with_suffix("") not in stems
        ]
        return faults

    def notes(self) -> list[str]:
        unknown = self.labelled and self.table is None
        return [f"{self.bands} bands"] + ["no classes.txt: label values not checked"] * unknown

    def check(self, item: tuple[str, Path, Path | None]) -> Finding:
        _, path, label_path = item
        faults: list[Fault] = []
        image = None
        try:
            image = read_image(path, self.bands)
            if self.size is not None and image.shape[:2] != self.size:
                message = f"is of {image.shape[:2]}, expected {self.size}"
                faults.append(Fault("size", str(path), message))
        except BadFileError as error:
            faults.append(_fault(error))
        try:
            if label_path is not None:
                self._check_label(label_path, image)
        except BadFileError as error:
            faults.append(_fault(error))
        return _looked_at(image, faults)

    def _check_label(self, path: Path, image: np.ndarray | None) -> None:
        label = read_label(path)
        if image is not None and label.shape != image.shape[:2]:
            fault = f"is of {label.shape}, its image of {image.shape[:2]}"
            raise BadFileError(path, fault, "label_size")
        if self.table is not None:
            apply_table(label, self.table, path)

    def key(self, item: tuple[str, Path, Path | None]) -> str:
        return item_name(item[1], self.root)

    def split_of(self, item: tuple[str, Path, Path | None]) -> str:
        return item[0]

    def path(self, item: tuple[str, Path, Path | None]) -> Path:
        return item[1]


def _common_bands(paths: Sequence[Path]) -> int:
    """What most of some fifty images have, read as they are."""
    found: Counter[int] = Counter()
    for path in paths[:: max(1, len(paths) // 50)]:
        for bands in (3, 4, 1, 2):
            try:
                read_image(path, bands)
            except BadFileError as error:
                if error.kind == "bands":
                    continue
                break
            found[bands] += 1
            break
    return found.most_common(1)[0][0] if found else 3


class CacheLayout:
    """A prepared cache; items are row numbers."""

    title = "prepared cache"
    one_size = False

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.coco = self.cache.manifest["dataset"] == "coco_stuff"

    def items(self) -> list[int]:
        return list(range(len(self.cache)))

    def structure(self, published: bool) -> list[Fault]:
        manifest, root = self.cache.manifest, self.cache.root
        faults = []
        index = root / INDEX
        if hashlib.sha256(index.read_bytes()).hexdigest() != manifest["index_sha256"]:
            faults.append(Fault("damaged", str(index), "is not the index of the manifest"))
        for shard in manifest["shards"]:
            path = root / shard["file"]
            found = path.stat().st_size if path.is_file() else 0
            if found != shard["bytes"]:
                message = f"{found} bytes, the manifest says {shard['bytes']}"
                faults.append(Fault("truncated" if found else "empty", str(path), message))
        numbers = self.cache.rows["split"]
        for number, (split, count) in enumerate(manifest["counts"].items()):
            if int((numbers == number).sum()) != count:
                message = f"{split}: {int((numbers == number).sum())} items, manifest {count}"
                faults.append(Fault("count", str(index), message))
        if published and not self._is_published():
            message = "the items are not those that the published numbers are on"
            faults.append(Fault("count", str(root / MANIFEST), message))
        return faults

    def _is_published(self) -> bool:
        lists = self.cache.manifest["lists"]
        if self.coco:
            return bool(lists) and all(
                part["published"] for parts in lists.values() for part in parts.values()
            )
        return bool(self.cache.manifest["protocol"]["published"])

    def notes(self) -> list[str]:
        notes = [f"manifest sha256 {self.cache.manifest_sha256}"]
        return notes if self._is_published() else [*notes, "not the published items"]

    def check(self, item: int) -> Finding:
        row = self.cache.rows[item]
        path = str(self.path(item))
        name = self.cache.name(item)
        try:
            image, label = self.cache.image(item), self.cache.label(item)
        except BadFileError as error:
            return Finding([Fault(error.kind, path, f"{name}: {error.fault}")])
        faults = []
        if (sha256(image) != row["image_sha256"]).any():
            faults.append(Fault("damaged", path, f"{name}: pixels are not those of the manifest"))
        if label is not None:
            if (sha256(label) != row["label_sha256"]).any():
                faults.append(Fault("damaged", path, f"{name}: labels are not the manifest's"))
            top = 182 if self.coco else len(CLASSES)
            if ((label >= top) & (label != IGNORE)).any():
                faults.append(Fault("label_range", path, f"{name}: labels beyond {top - 1}"))
        return _looked_at(image, faults)

    def key(self, item: int) -> str:
        return self.cache.name(item).rsplit("/", 1)[-1]

    def split_of(self, item: int) -> str:
        return self.cache.manifest["splits"][int(self.cache.rows["split"][item])]

    def path(self, item: int) -> Path:
        return self.cache.root / shard_name(int(self.cache.rows["shard"][item]))
