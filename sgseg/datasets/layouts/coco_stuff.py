"""COCO-Stuff as it comes, for :mod:`sgseg.datasets.verify`."""

from __future__ import annotations

from pathlib import Path

from ...io.badfile import BadFileError
from ...io.images import read_image
from ..coco_stuff import PUBLISHED, SPLITS, COCOTree, find_lists
from .finding import Fault, Finding, Layout, as_fault, looked_at


class COCOLayout(Layout):
    """COCO-Stuff as it comes; items are (split, id)."""

    title = "COCO-Stuff tree"
    one_size = False

    def __init__(self, root: Path) -> None:
        self.tree = COCOTree(root)
        self.splits = [
            split
            for split in SPLITS
            if any((root / layout / split).is_dir() for layout in ("images", ""))
        ]
        self.lists = find_lists(root / "curated")

    def items(self) -> list[tuple[str, str]]:
        return [(split, name) for split in self.splits for name in self.tree.ids(split)]

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
            for listed in self.lists:
                if listed.split == split:
                    faults += [
                        Fault("missing_partner", f"{split}/{name}.jpg", f"listed in {listed.path}")
                        for name in sorted(set(listed.ids) - images)
                    ]
        for listed in self.lists:
            if not listed.published:
                wanted, digest = PUBLISHED[listed.name][listed.split]
                message = f"{len(listed.ids)} ids, the published list has {wanted} and sha256 "
                faults.append(Fault("count", str(listed.path), message + digest))
        right = {(listed.name, listed.split) for listed in self.lists if listed.published}
        if published:
            faults += [
                Fault("count", f"curated/{split}/{name}.txt", "the published list is not there")
                for name, parts in PUBLISHED.items()
                for split in parts
                if (name, split) not in right
            ]
        return faults

    def notes(self) -> list[str]:
        return [] if self.lists else ["no curated list: published numbers are on lists only"]

    def check(self, item: tuple[str, str]) -> Finding:
        split, name = item
        faults: list[Fault] = []
        image = None
        try:
            image = read_image(self.path(item), 3)
            if (self.tree.labels(split) / f"{name}.png").is_file():
                self.tree.read(split, name)
        except BadFileError as error:
            faults.append(as_fault(error))
        return looked_at(image, faults)

    def key(self, item: tuple[str, str]) -> str:
        return item[1]

    def split_of(self, item: tuple[str, str]) -> str:
        return item[0]

    def path(self, item: tuple[str, str]) -> Path:
        return self.tree.images(item[0]) / f"{item[1]}.jpg"
