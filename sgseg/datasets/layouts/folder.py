"""Folders of images and labels, for :mod:`sgseg.datasets.verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import LABEL_SUFFIXES, BadFileError, read_image, read_label, read_list
from ..folder import (
    LabelTable,
    apply_table,
    find_label,
    image_folder,
    item_name,
    label_table,
    list_images,
)
from .finding import Fault, Finding, as_fault, looked_at


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
            faults.append(as_fault(error))
        try:
            if label_path is not None:
                self._check_label(label_path, image)
        except BadFileError as error:
            faults.append(as_fault(error))
        return looked_at(image, faults)

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
