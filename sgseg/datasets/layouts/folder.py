"""Folders of images and labels, for :mod:`sgseg.datasets.verify`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...io.badfile import BadFileError
from ...io.images import LABEL_SUFFIXES, read_label, read_list, read_stored
from ...io.pixels import pixels_of
from ...io.units import units_of
from ...ops.matching import IGNORE, absence
from ..folder import find_label, item_name, shared_names
from ..labels import LabelTable, apply_table, demand_same_size, label_table
from ..scan import find_labels, scan
from .finding import Fault, Finding, Layout, as_fault, looked_at

Range = tuple[float, float]
_SPARSE = 2**15
"""A 16-bit image without a sample from here on uses less than half of its type."""


class FolderLayout(Layout):
    """``images/``, ``labels/``, lists; items are (split, image, label or None).

    Lists are the ``.txt`` files in the folder with train, val or test in their name, except
    ``classes.txt``; without any, all images are of the split ``all``.
    """

    title = "folder"

    def __init__(
        self,
        root: Path,
        bands: int | None,
        size: tuple[int, int] | None,
        label_map: str | None,
        value_range: Range | None = None,
    ) -> None:
        self.root, self.size, self.value_range = root, size, value_range
        self.one_size = False
        self.lists = {
            path.stem: read_list(path)
            for path in sorted(root.glob("*.txt"))
            if any(word in path.stem for word in ("train", "val", "test"))
        }
        self.scan = scan(root, [name for names in self.lists.values() for name in names])
        self.paths = self.scan.paths
        self.bands = bands or _common_bands(self.paths)
        self.labelled = (root / "labels").is_dir()
        self.names: tuple[str, ...] = ()
        self.table: LabelTable | None = None
        self.faults: list[Fault] = []
        if self.labelled and (label_map or (root / "classes.txt").is_file()):
            try:
                self.names, self.table = label_table(root, label_map, None)
            except ValueError as error:
                self.faults.append(Fault("classes", str(root / "classes.txt"), str(error)))
        self.by_name = {item_name(path, root): path for path in self.paths}
        self.by_name |= {str(path.relative_to(self.scan.root)): path for path in self.paths}

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
        faults = self.faults + [
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
        if self.table is None and not self.faults:
            message = "no classes.txt beside labels/, so no training on this folder begins: write "
            message += (
                "one name a line in the order of the values, give a label map (--label-map), "
            )
            message += "or rename labels/ to train without scoring"
            faults.append(Fault("classes", str(self.root), message))
        faults += [
            Fault("missing_partner", str(path), "no label map of this image in labels/")
            for split, path, label in self.items()
            if label is None and "unlabelled" not in split
        ]
        faults += [
            Fault("count", str(path), f"has {len(own)} label maps, {own[0]} and {own[1]}")
            for path in self.paths
            if len(own := find_labels(path, self.root)) > 1
        ]
        faults += [
            Fault("count", str(second), f"shares its name, and so its label map, with {first}")
            for first, second, *_ in shared_names(self.paths, self.root).values()
        ]
        stems = {path.relative_to(self.scan.root).with_suffix("") for path in self.paths}
        maps = self.root / "labels"
        faults += [
            Fault("missing_partner", str(path), "a label map without its image")
            for path in sorted(maps.rglob("*"))
            if path.suffix.lower() in LABEL_SUFFIXES
            and path.relative_to(maps).with_suffix("") not in stems
        ]
        return faults

    def notes(self) -> list[str]:
        notes = [self.scan.sentence(), f"{self.bands} bands"]
        spelt: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            spelt[str(path).casefold()].append(path)
        notes += [
            f"{pair[0]} and {pair[1]} differ in case alone: one file on Windows and macOS"
            for pair in spelt.values()
            if len(pair) > 1
        ]
        return notes

    def check(self, item: tuple[str, Path, Path | None]) -> Finding:
        _, path, label_path = item
        faults: list[Fault] = []
        found, labels = Finding(), None
        try:
            found = self._look(path, faults)
        except BadFileError as error:
            faults.append(as_fault(error))
        try:
            if label_path is not None:
                labels = self._check_label(label_path, path, found.size)
        except BadFileError as error:
            faults.append(as_fault(error))
        return found._replace(faults=faults, labels=labels)

    def _look(self, path: Path, faults: list[Fault]) -> Finding:
        """Read an image; what stands in its file as well as what a network would get."""
        stored = read_stored(path)
        try:
            units = units_of(stored.image.dtype, self.value_range)
        except ValueError as error:
            raise BadFileError(path, str(error), "dtype") from error
        image, valid = pixels_of(path, stored, self.bands, units)
        if self.size is not None and image.shape[:2] != self.size:
            message = f"is of {image.shape[:2]}, expected {self.size}"
            faults.append(Fault("size", str(path), message))
        return looked_at(image, faults, stored.image.dtype)._replace(
            top=float(stored.image.max()),
            nodata=0 if valid is None else int((~valid).sum()),
            turned=stored.turned,
        )

    def _check_label(
        self, path: Path, image_path: Path, size: tuple[int, ...] | None
    ) -> frozenset[int]:
        label = read_label(path)
        if size is not None:
            demand_same_size(path, label.shape, image_path, size)
        if self.table is not None:
            apply_table(label, self.table, path)
        return frozenset(np.unique(label).tolist())

    def conclusions(
        self, items: Sequence[tuple[str, Path, Path | None]], findings: Sequence[Finding]
    ) -> tuple[list[Fault], list[str]]:
        faults, notes = self._of_labels(items, findings)
        sparse = [f for f in findings if f.dtype == "uint16" and f.top < _SPARSE]
        if sparse and self.value_range is None:
            top = max(found.top for found in sparse)
            notes.append(
                f"{len(sparse)} images of uint16 hold nothing above {top:g} and are read as parts "
                f"of 65535: state what the values mean, value_range=(0, {top:g}) for example "
                "(--value-range LOW HIGH)"
            )
        hidden = [found.nodata for found in findings if found.nodata]
        if hidden:
            notes.append(f"{len(hidden)} images hold {sum(hidden)} pixels that are no data")
        turned = sum(found.turned for found in findings)
        if turned:
            notes.append(
                f"{turned} images are turned upright by their orientation tag; their label maps "
                "must lie so too, or have the same tag"
            )
        return faults, notes

    def _of_labels(
        self, items: Sequence[tuple[str, Path, Path | None]], findings: Sequence[Finding]
    ) -> tuple[list[Fault], list[str]]:
        """Label maps that score nothing, or leave a named class out."""
        values = [found.labels for found in findings if found.labels is not None]
        raw = frozenset[int]().union(*values)
        where = str(self.root / "labels")
        if values and raw <= {IGNORE}:
            return [Fault("labels", where, f"all pixels of {len(values)} maps are ignored")], []
        if self.table is None or not values:
            return [], []
        notes = []
        for split in dict.fromkeys(item[0] for item in items):
            part = [f.labels or () for i, f in zip(items, findings, strict=True) if i[0] == split]
            held = {int(self.table[v]) for v in frozenset[int]().union(*part) if 0 <= v <= IGNORE}
            absent = [name for number, name in enumerate(self.names) if number not in held]
            if absent:
                notes.append(f"{split}: {absence(absent, len(self.names), raw)}")
        if notes and raw == {0, IGNORE}:
            return [Fault("labels", where, note) for note in notes], []
        return [], notes

    def key(self, item: tuple[str, Path, Path | None]) -> str:
        return item_name(item[1], self.root)

    def split_of(self, item: tuple[str, Path, Path | None]) -> str:
        return item[0]

    def path(self, item: tuple[str, Path, Path | None]) -> Path:
        return item[1]


def _common_bands(paths: Sequence[Path]) -> int:
    """What most of some fifty images have, opacity not counted."""
    found: Counter[int] = Counter()
    for path in paths[:: max(1, len(paths) // 50)]:
        try:
            stored = read_stored(path)
        except BadFileError:
            continue
        bands = stored.image.shape[2] - (stored.opacity == "sure")
        found[3 if bands == 1 and stored.opacity else bands] += 1
    return found.most_common(1)[0][0] if found else 3
