"""Data sets of named splits, read from the layout they come in or from a prepared cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ..io.units import Units
from .base import SegDataset, TransformConfig
from .cache import Cache
from .folder import fingerprint
from .transforms import PackInputs

Span = tuple[int, int]


class Source(Protocol):
    """Where items come from: images with raw labels, in the order of their splits."""

    @property
    def applied(self) -> Sequence[str]:
        """Transforms that were run before the items were stored, as text."""

    @property
    def spans(self) -> Mapping[str, Span]:
        """First and end index of each split."""

    @property
    def units(self) -> Units:
        """Type and range of the samples."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What item ``index`` is called."""

    def encoded_names(self, start: int, end: int) -> npt.NDArray[np.bytes_]:
        """Names of the items from ``start`` to before ``end``: (end - start,) UTF-8."""

    def read(self, index: int, labels: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Image (H, W, bands), and raw labels (H, W) in 0..255 where there are any.

        Args:
            index: of the item.
            labels: whether anybody looks at the labels; files are checked all the same.
        """

    def facts(self) -> dict[str, Any]:
        """What a score on these items depends on, beside their names."""


class CachedSource:
    """Items of a prepared cache.

    Args:
        cache: the reader.
        splits: which splits, in order.
        curated: the list whose items to take; None takes all.
        bands: take the first bands only; default all.

    Raises:
        ValueError: for a split, list or number of bands that the cache does not have.
    """

    units = Units()

    def __init__(
        self,
        cache: Cache,
        splits: Sequence[str],
        curated: str | None = None,
        bands: int | None = None,
    ) -> None:
        if bands is not None and not 1 <= bands <= cache.bands:
            raise ValueError(f"{cache.root}: has {cache.bands} bands, asked for {bands}")
        self.cache = cache
        self.curated = curated
        self.bands = bands or cache.bands
        self.applied = cache.manifest["applied"]
        parts = cache.select(splits, curated)
        self.numbers = np.concatenate([np.empty(0, np.int32), *(parts[split] for split in splits)])
        self.spans = spans({split: len(part) for split, part in parts.items()})

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        """Name of item ``index``."""
        return self.cache.name(self.numbers[index])

    def encoded_names(self, start: int, end: int) -> npt.NDArray[np.bytes_]:
        """Of these items of the index."""
        return self.cache.rows["name"][self.numbers[start:end]]

    def read(self, index: int, labels: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Read item ``index``; labels were checked when they were prepared, and can stay there."""
        number = int(self.numbers[index])
        image = self.cache.image(number)[:, :, : self.bands]
        return image, self.cache.label(number) if labels else None

    def facts(self) -> dict[str, Any]:
        """The cache's identity, how it was made, and whether the items are the published ones."""
        facts = dict(self.cache.manifest["protocol"])
        if self.curated is not None:
            parts = self.cache.manifest["lists"][self.curated]
            published = all(parts.get(split, {}).get("published") for split in self.spans)
            facts |= dict(list=self.curated, published=published)
        return facts | dict(manifest_sha256=self.cache.manifest_sha256)


def spans(counts: Mapping[str, int]) -> dict[str, Span]:
    """First and end index of each split, one after the other."""
    ends = np.cumsum([*counts.values()]).tolist()
    return {
        split: (end - count, end) for (split, count), end in zip(counts.items(), ends, strict=True)
    }


class SplitDataset(SegDataset):
    """Items of a source, their raw labels mapped to classes.

    Args:
        source: of the items.
        transforms, seed, max_bad_images: see :class:`SegDataset`.
    """

    CLASSES: ClassVar[tuple[str, ...]]
    LABEL_MAP: ClassVar[npt.NDArray[np.uint8]]
    """(256,): raw value -> class, 255 = ignored."""

    def __init__(
        self,
        source: Source,
        transforms: Sequence[TransformConfig] | None,
        seed: int,
        max_bad_images: int,
    ) -> None:
        self.source = source
        self.units = source.units
        super().__init__(self.CLASSES, transforms, seed, max_bad_images, source.applied)
        last = self.transforms[-1] if self.transforms else None
        self._drops_labels = isinstance(last, PackInputs) and not last.needs_labels

    def __len__(self) -> int:
        return len(self.source)

    def load(self, index: int) -> dict[str, Any]:
        """Read image and labels of item ``index``; an unlabelled item has no ``gt_seg_map``."""
        return self._item(index, True)

    def _load(self, index: int) -> dict[str, Any]:
        return self._item(index, not self._drops_labels)

    def _item(self, index: int, labels: bool) -> dict[str, Any]:
        image, label = self.source.read(index, labels)
        item = dict(img=image, name=self.name(index))
        if label is None:
            return item
        import cv2

        return item | dict(gt_seg_map=cv2.LUT(label, self.LABEL_MAP))

    def name(self, index: int) -> str:
        """What item ``index`` is called."""
        return self.source.name(index)

    def names(self) -> list[str]:
        """Names of all items, in order."""
        return [self.name(index) for index in range(len(self))]

    def subsets(self) -> dict[str, Span]:
        """The splits, where there are several: ``val2017`` alone is scored in the same run."""
        return dict(self.source.spans) if len(self.source.spans) > 1 else {}

    def protocol(self) -> dict[str, Any]:
        """Which items these are, and how they were prepared."""
        return super().protocol() | dict(
            split=list(self.source.spans),
            items_sha256=self._items_sha256,
            classes=list(self.classes),
            **self.source.facts(),
        )

    @cached_property
    def _items_sha256(self) -> str:
        # Once: every checkpoint and evaluation asks for the protocol.
        return fingerprint(len(self), self.source.encoded_names)
