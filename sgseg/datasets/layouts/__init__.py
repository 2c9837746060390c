"""The layouts that :mod:`sgseg.datasets.verify` knows: their items, and how to look at one."""

from __future__ import annotations

from pathlib import Path

from ..cache import find_cache
from ..coco_stuff import SPLITS
from ..prepare.potsdam import is_archive
from .cache import CacheLayout
from .coco_stuff import COCOLayout
from .finding import Fault, Finding, Layout
from .folder import FolderLayout
from .potsdam import ArchiveLayout, TilesLayout

__all__ = ["Fault", "Finding", "Layout", "find_layout"]


def find_layout(
    root: str | Path,
    bands: int | None,
    size: tuple[int, int] | None,
    label_map: str | None,
    value_range: tuple[float, float] | None = None,
) -> Layout:
    """The layout of ``root``; see :func:`sgseg.datasets.verify.verify` for the arguments."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    cache = find_cache(root)
    if cache is not None:
        return CacheLayout(cache)
    if any((root / folder / split).is_dir() for folder in ("images", "") for split in SPLITS):
        return COCOLayout(root)
    if is_archive(root):
        return ArchiveLayout(root)
    if next(root.rglob("top_potsdam_*_RGBIR.tif"), None):
        return TilesLayout(root)
    return FolderLayout(root, bands, size, label_map, value_range)
