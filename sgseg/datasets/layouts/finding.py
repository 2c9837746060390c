"""The report of a verification, and the interface that a layout implements for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...io.badfile import BadFileError


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
    """Hash of the image's pixels."""
    dtype: str | None = None
    """Type of the samples in the file."""
    size: tuple[int, ...] | None = None
    top: float = 0.0
    """Largest sample."""
    nodata: int = 0
    """Pixels that are no data."""
    turned: bool = False
    """Whether the image was turned upright by its orientation tag."""
    labels: frozenset[int] | None = None
    """Raw values of the label map."""


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
        return []

    def check(self, item: Any) -> Finding:
        """Open an item's files."""

    def key(self, item: Any) -> str:
        """What makes two items the same one."""

    def split_of(self, item: Any) -> str:
        """The item's split."""

    def path(self, item: Any) -> Path:
        """The item's image."""

    def conclusions(
        self, items: Sequence[Any], findings: Sequence[Finding]
    ) -> tuple[list[Fault], list[str]]:
        """Faults and notes that follow from all items together."""
        return [], []


def as_fault(error: BadFileError) -> Fault:
    """A reading error as a fault of its kind."""
    return Fault(error.kind, str(error.path), error.fault)


def looked_at(
    image: np.ndarray | None, faults: list[Fault], dtype: np.dtype[Any] | None = None
) -> Finding:
    """What is known of an item whose image could be read, or could not.

    Args:
        image: its pixels.
        faults: of the item.
        dtype: of its samples in the file; default the pixels'.
    """
    if image is None:
        return Finding(faults)
    digest = hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return Finding(faults, digest.digest(), str(dtype or image.dtype), image.shape[:2])
