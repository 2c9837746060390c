"""A prepared data set: raw pixels in a few large files, an index, and a manifest that vouches.

Layout of a cache folder, all of it written once and then only read:

- ``manifest.json``: what the set is (see :func:`write_manifest`). It is written last, so a folder
  with a manifest is complete; its own sha256 is the data set's identity.
- ``index.npy``: one row an item (:func:`row_type`): name, split, curated lists, and where its
  pixels are, with the sha256 of image and label.
- ``shard-00000.bin`` ...: for every item its image, (H, W, bands) uint8, row by row, then
  its raw label map, (H, W) uint8, if it has one.

Shards are mapped into memory: no file position is shared, so threads and worker processes read the
same files at once, and what they share is the system's cache of them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from ..io.atomic import write_atomically
from ..io.badfile import BadFileError

FORMAT = 1
MANIFEST, INDEX = "manifest.json", "index.npy"
PLAN = "plan.json"
"""Stands in a folder as long as its cache is being written."""

Bytes = npt.NDArray[np.uint8]


class Sample(NamedTuple):
    """An item on its way into a cache."""

    image: Bytes
    """(H, W, bands)."""
    label: Bytes | None
    """(H, W) raw values, or None."""
    off_palette: int = 0
    """Label pixels whose colour was none of the palette's."""


def row_type(name_bytes: int) -> np.dtype[Any]:
    """A row of the index; ``lists`` holds one bit a curated list, names are UTF-8."""
    return np.dtype(
        [
            ("name", f"S{name_bytes}"),
            ("split", "u1"),
            ("lists", "u1"),
            ("labelled", "?"),
            ("shard", "<u4"),
            ("offset", "<u8"),
            ("height", "<u4"),
            ("width", "<u4"),
            ("off_palette", "<u4"),
            ("image_sha256", "u1", 32),
            ("label_sha256", "u1", 32),
        ]
    )


def is_cache(root: str | Path) -> bool:
    """Whether a folder is a prepared data set."""
    return (Path(root) / MANIFEST).is_file()


def find_cache(root: str | Path, dataset: str | None = None) -> Cache | None:
    """The cache in ``root``; None if it is a folder of another kind.

    Raises:
        BadFileError: for a cache that was never finished, or of another data set.
    """
    if is_cache(root):
        return Cache(root, dataset)
    if (Path(root) / PLAN).is_file():
        raise BadFileError(
            root,
            "a preparation that was stopped; call sgseg prepare again with the same "
            "arguments, it goes on where it stopped",
        )
    return None


def shard_name(number: int) -> str:
    """File name of shard ``number``."""
    return f"shard-{number:05d}.bin"


def sha256(data: Any) -> Bytes:
    """Digest of bytes or of a contiguous array: (32,) uint8."""
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)


def write_sample(file: BinaryIO, sample: Sample, row: Any) -> None:
    """Append a sample to an open shard and fill its row: place, size and digests."""
    image = np.ascontiguousarray(sample.image)
    row["offset"] = file.tell()
    row["height"], row["width"] = image.shape[:2]
    row["image_sha256"] = sha256(image)
    row["off_palette"] = sample.off_palette
    row["labelled"] = sample.label is not None
    file.write(image.data)
    if sample.label is not None:
        label = np.ascontiguousarray(sample.label)
        row["label_sha256"] = sha256(label)
        file.write(label.data)


def write_manifest(folder: Path, rows: np.ndarray, facts: Mapping[str, Any]) -> str:
    """Write index and manifest, the manifest last.

    Args:
        folder: of the cache, its shards all in place.
        rows: (items,) of :func:`row_type`, in the order of shards.
        facts: further entries: ``dataset``, ``sgseg_version``, ``bands``, ``splits`` (names, in
            the order of the rows' numbers), ``lists``, ``applied``, ``classes``, ``protocol``.

    Returns:
        The manifest's sha256, in hex.
    """
    buffer = io.BytesIO()
    np.save(buffer, rows)
    write_atomically(folder / INDEX, buffer.getvalue())
    labels = int((rows["height"].astype(np.int64) * rows["width"])[rows["labelled"]].sum())
    off_palette = int(rows["off_palette"].sum())
    shards = [
        dict(
            file=shard_name(number),
            items=int((rows["shard"] == number).sum()),
            bytes=(folder / shard_name(number)).stat().st_size,
        )
        for number in range(int(rows["shard"].max()) + 1)
    ]
    manifest = dict(
        format=FORMAT,
        **facts,
        items=len(rows),
        counts={
            name: int((rows["split"] == number).sum())
            for number, name in enumerate(facts["splits"])
        },
        labelled=int(rows["labelled"].sum()),
        off_palette=dict(pixels=off_palette, share=round(off_palette / max(labels, 1), 8)),
        shards=shards,
        index_sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
    )
    content = (json.dumps(manifest, indent=1) + "\n").encode()
    write_atomically(folder / MANIFEST, content)
    return hashlib.sha256(content).hexdigest()


class Cache:
    """Reader of a cache folder.

    Only the rows asked for are looked at; what is pickled for a worker is the path.

    Args:
        root: the folder.
        dataset: what it must hold, for example ``coco_stuff``.

    Attributes:
        manifest: content of ``manifest.json``.
        manifest_sha256: its digest, the data set's identity.
        rows: the index, memory-mapped.

    Raises:
        BadFileError: for a manifest of another format or data set, or an index that is not the
            manifest's.
    """

    def __init__(self, root: str | Path, dataset: str | None = None) -> None:
        self.root = Path(root)
        path = self.root / MANIFEST
        content = path.read_bytes()
        try:
            self.manifest = json.loads(content)
        except ValueError as error:
            raise BadFileError(path, f"is not JSON: {error}") from error
        if self.manifest.get("format") != FORMAT:
            raise BadFileError(
                path,
                f"is of format {self.manifest.get('format')}, this version reads {FORMAT}: "
                "prepare the data again",
            )
        if dataset and self.manifest["dataset"] != dataset:
            raise BadFileError(path, f"holds {self.manifest['dataset']}, expected {dataset}")
        self.manifest_sha256 = hashlib.sha256(content).hexdigest()
        self.bands: int = self.manifest["bands"]
        self._shards: dict[int, Bytes] = {}
        path = self.root / INDEX
        try:
            rows = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise BadFileError(path, f"cannot be read: {error}") from error
        if len(rows) != self.manifest["items"]:
            raise BadFileError(
                path, f"has {len(rows)} rows, the manifest says {self.manifest['items']}"
            )
        # A plain view: fields of a memmap subclass are several times slower to read.
        self.rows: np.ndarray = rows.view(np.ndarray)

    def __getstate__(self) -> dict[str, Any]:
        return dict(root=self.root)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.rows)

    def select(
        self, splits: Sequence[str], curated: str | None = None
    ) -> dict[str, npt.NDArray[np.int32]]:
        """Row numbers of the items of each of ``splits``.

        Args:
            splits: names that the manifest knows.
            curated: only items of this list.

        Raises:
            ValueError: for a split or list that is not in the cache.
        """
        known = self.manifest["splits"]
        unknown = [name for name in splits if name not in known]
        lists = list(self.manifest["lists"])
        if unknown or (curated is not None and curated not in lists):
            raise ValueError(
                f"{self.root}: asked for splits {list(splits)} of list {curated}; the cache has "
                f"splits {known} and lists {lists}. Prepare it again with what is missing"
            )
        wanted = np.ones(len(self), bool)
        if curated is not None:
            wanted = (self.rows["lists"] >> lists.index(curated)) & 1 == 1
        return {
            split: np.flatnonzero(wanted & (self.rows["split"] == known.index(split))).astype("i4")
            for split in splits
        }

    def name(self, number: int) -> str:
        """Name of row ``number``."""
        return self.rows["name"][number].decode()

    def image(self, number: int) -> Bytes:
        """Image of row ``number``: (H, W, bands), the caller's own copy."""
        row = self.rows[number]
        height, width = int(row["height"]), int(row["width"])
        data = self._read(row, 0, height * width * self.bands)
        return data.reshape(height, width, self.bands)

    def label(self, number: int) -> Bytes | None:
        """Raw label map of row ``number``: (H, W), or None."""
        row = self.rows[number]
        if not row["labelled"]:
            return None
        height, width = int(row["height"]), int(row["width"])
        return self._read(row, height * width * self.bands, height * width).reshape(height, width)

    def _read(self, row: Any, skip: int, size: int) -> Bytes:
        number, start = int(row["shard"]), int(row["offset"]) + skip
        path = self.root / shard_name(number)
        if number not in self._shards:
            try:
                self._shards[number] = np.memmap(path, np.uint8, "r").view(np.ndarray)
            except (OSError, ValueError) as error:
                raise BadFileError(path, f"cannot be read: {error}") from error
        data = self._shards[number][start : start + size].copy()
        if len(data) != size:
            fault = f"truncated: {len(data)} of {size} bytes of an item"
            raise BadFileError(path, fault, "truncated")
        return data


def described(cache: Cache) -> str:
    """What a cache holds, for a person."""
    manifest = cache.manifest
    lines = [
        f"{cache.root}: {manifest['dataset']}, {manifest['items']} images, "
        f"{sum(shard['bytes'] for shard in manifest['shards']) / 1e9:.2f} GB, "
        + ", ".join(f"{split} {count}" for split, count in manifest["counts"].items())
    ]
    for name, parts in manifest["lists"].items():
        for split, part in parts.items():
            verdict = "the published list" if part["published"] else "NOT the published list"
            lines.append(f"  {name}, {split}: {part['items']} images, {verdict}")
    off = manifest["off_palette"]
    if off["pixels"]:
        lines.append(f"  {off['pixels']} label pixels off the palette ({100 * off['share']:.4f} %)")
    lines.append(f"  manifest sha256 {cache.manifest_sha256}")
    return "\n".join(lines)
