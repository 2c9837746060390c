"""The size at which images are trained, scored and, unless asked otherwise, segmented."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from .loaders import LOADERS

SMALLEST = 8
"""Pixels of a side."""


def set_size(config: Config, size: int) -> None:
    """Set the shorter side of the images in every place that depends on it.

    Args:
        config: changed in place: resizing and crops of all its data sets, the size of images that
            a data set makes itself, and the side at which whole images are segmented.
        size: in pixels.

    Raises:
        ValueError: for less than eight pixels, or data that are not resized.
    """
    datasets = [config[name].dataset for name in LOADERS if config.get(name)]
    sized: list[Any] = [
        part
        for dataset in datasets
        for part in (dataset, *dataset.get("transforms", ()))
        if "size" in part
    ]
    if not sized or size < SMALLEST:
        why = f"{SMALLEST} is the least" if sized else "these images have a size of their own"
        raise ValueError(f"--size {size}: {why}; leave it out, or give another")
    for part in sized:
        part["size"] = size
    if config.get("predict_side"):
        config.predict_side = size
