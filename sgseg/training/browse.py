"""A picture of the data as the network gets them."""

from __future__ import annotations

import copy
import textwrap

import numpy as np
from mmengine.config import Config

from ..datasets import PackInputs
from ..registry import DATASETS, is_a
from ..visualization import captioned, class_colours, picture_strip, to_display

_SIDE = 160
_COLUMNS = 4


def data_picture(config: Config, split: str = "train", count: int = 12) -> tuple[np.ndarray, str]:
    """Items of a data set after its transforms.

    Args:
        config: from :func:`build_config`.
        split: ``train``, ``val`` or ``test``.
        count: items, taken evenly over the set.

    Returns:
        RGB picture with four items a row, coloured labels under each image where there are any
        (training's too, which the network never gets), the colours' names and the protocol below;
        and the protocol as text.

    Raises:
        ValueError: if the config has no such data loader.
    """
    loader = copy.deepcopy(config.get(f"{split}_dataloader"))
    if not loader:
        raise ValueError(f"this config has no {split}_dataloader")
    dataset = DATASETS.build(loader.dataset)
    described = dataset.metainfo["protocol"]
    last = loader.dataset.get("transforms", [{}])[-1]
    if is_a(last, PackInputs):
        last.with_labels = True  # to look at; the protocol is as configured
        dataset = DATASETS.build(loader.dataset)
    colours = class_colours(dataset.classes)
    pictures = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        item = dataset[int(index)]
        image = to_display(item["inputs"].numpy().transpose(1, 2, 0))
        labels = colours[item["gt"].numpy() & 0xFF] if "gt" in item else np.full_like(image, 255)
        pictures.append(np.concatenate([image, *([labels] if dataset.classes else [])], 0))
    missing = -len(pictures) % _COLUMNS
    pictures += [np.full_like(pictures[0], 255)] * missing
    rows = [pictures[start : start + _COLUMNS] for start in range(0, len(pictures), _COLUMNS)]
    parts = [f"{described['dataset']}, {described['items']} items of {tuple(item['inputs'].shape)}"]
    if isinstance(described.get("split"), list):
        parts.append(f"split {', '.join(described['split'])}")
    parts.append(" -> ".join(described["transforms"]))
    if "published" in described:
        parts.append("published items" if described["published"] else "NOT the published items")
    if "manifest_sha256" in described:
        parts.append(f"manifest {described['manifest_sha256'][:12]}")
    summary = "; ".join(parts)
    legend = [(name, colours[number]) for number, name in enumerate(dataset.classes)]
    return captioned(picture_strip(rows, side=_SIDE), legend, textwrap.wrap(summary, 92)), summary
