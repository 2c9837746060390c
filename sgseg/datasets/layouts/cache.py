"""Prepared caches, for :mod:`sgseg.datasets.verify`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...io.badfile import BadFileError
from ...ops.matching import IGNORE
from ..cache import INDEX, MANIFEST, Cache, sha256, shard_name
from ..potsdam import CLASSES
from .finding import Fault, Finding, Layout, looked_at


class CacheLayout(Layout):
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
        return looked_at(image, faults)

    def key(self, item: int) -> str:
        return self.cache.name(item).rsplit("/", 1)[-1]

    def split_of(self, item: int) -> str:
        return self.cache.manifest["splits"][int(self.cache.rows["split"][item])]

    def path(self, item: int) -> Path:
        return self.cache.root / shard_name(int(self.cache.rows["shard"][item]))
