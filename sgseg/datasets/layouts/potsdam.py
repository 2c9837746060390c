"""Potsdam's tiles and IIC's archive of patches, for :mod:`sgseg.datasets.verify`."""

from __future__ import annotations

from pathlib import Path

from ...io.badfile import BadFileError
from ...io.images import read_image, read_list
from ..labels import demand_same_size
from ..potsdam import COUNTS, LABELLED_TILES, SPLITS
from ..prepare.potsdam import OFF_PALETTE_WARNING, MatPatches, find_tiles, palette_classes
from .finding import Fault, Finding, Layout, as_fault, looked_at


class TilesLayout(Layout):
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

    def check(self, item: tuple[str, Path, Path | None]) -> Finding:
        _, path, label_path = item
        faults: list[Fault] = []
        image = None
        try:
            image = read_image(path, 4)
            if label_path is not None:
                colours = read_image(label_path, 3)
                demand_same_size(label_path, colours.shape, path, image.shape)
                off = palette_classes(colours)[1].mean()
                if off > OFF_PALETTE_WARNING:
                    message = f"{100 * off:.2f} % of its pixels are off the palette of six colours"
                    faults.append(Fault("label_range", str(label_path), message))
        except BadFileError as error:
            faults.append(as_fault(error))
        return looked_at(image, faults)

    def key(self, item: tuple[str, Path, Path | None]) -> str:
        return item[0]

    def split_of(self, item: tuple[str, Path, Path | None]) -> str:
        return "labelled" if item[2] else "unlabelled"

    def path(self, item: tuple[str, Path, Path | None]) -> Path:
        return item[1]


class ArchiveLayout(Layout):
    """IIC's Potsdam archive; items are (split, id)."""

    title = "IIC's Potsdam archive"
    one_size = True

    def __init__(self, root: Path) -> None:
        self.root = root
        lists = {split: root / f"{split}.txt" for split in SPLITS}
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

    def check(self, item: tuple[str, str]) -> Finding:
        try:
            (sample,) = MatPatches(self.root, [item[1]]).samples()
        except BadFileError as error:
            return Finding([as_fault(error)])
        return looked_at(sample.image, [])

    def key(self, item: tuple[str, str]) -> str:
        return item[1]

    def split_of(self, item: tuple[str, str]) -> str:
        return item[0]

    def path(self, item: tuple[str, str]) -> Path:
        return self.root / "imgs" / f"{item[1]}.mat"
