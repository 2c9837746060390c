"""A look at the data as the network gets it."""

from __future__ import annotations

import numpy as np
from mmengine.config import Config

from ..registry import DATASETS
from ..visualization import palette, picture_strip, to_display


def data_picture(config: Config, split: str = "train", count: int = 12) -> tuple[np.ndarray, str]:
    """Items of a data set behind its transforms.

    Args:
        config: from :func:`build_config`.
        split: ``train``, ``val`` or ``test``.
        count: items, taken evenly over the set.

    Returns:
        RGB picture with four items a row, labels under each image where there are any; and a
        line that says what the set is.

    Raises:
        ValueError: if the config has no such data loader.
    """
    loader = config.get(f"{split}_dataloader")
    if not loader:
        raise ValueError(f"this config has no {split}_dataloader")
    dataset = DATASETS.build(loader.dataset)
    colours = palette(max(len(dataset.classes), 1))
    pictures = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        item = dataset[int(index)]
        image = to_display(item["inputs"].numpy().transpose(1, 2, 0))
        labels = [colours[item["gt"].numpy() & 0xFF]] if "gt" in item else []
        pictures.append(np.concatenate([image, *labels], 0))
    missing = -len(pictures) % 4
    pictures += [np.full_like(pictures[0], 255)] * missing
    rows = [pictures[start : start + 4] for start in range(0, len(pictures), 4)]
    inputs = dataset[0]["inputs"]
    summary = (
        f"{type(dataset).__name__}, {len(dataset)} items of {tuple(inputs.shape)} {inputs.dtype}; "
        f"classes: {', '.join(dataset.classes) or 'none'}; {' -> '.join(dataset.described)}"
    )
    return picture_strip(rows), summary
