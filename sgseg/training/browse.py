"""A look at the data as the network gets it."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.config import Config

from ..datasets import PackInputs
from ..registry import DATASETS, is_a
from ..visualization import captioned, palette, picture_strip, to_display

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
    colours = palette(max(len(dataset.classes), 1))
    pictures = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        item = dataset[int(index)]
        image = to_display(item["inputs"].numpy().transpose(1, 2, 0))
        labels = colours[item["gt"].numpy() & 0xFF] if "gt" in item else np.full_like(image, 255)
        pictures.append(np.concatenate([image, *([labels] if dataset.classes else [])], 0))
    missing = -len(pictures) % _COLUMNS
    pictures += [np.full_like(pictures[0], 255)] * missing
    rows = [pictures[start : start + _COLUMNS] for start in range(0, len(pictures), _COLUMNS)]
    summary = _summary(described, tuple(item["inputs"].shape))
    legend = [(name, colours[number]) for number, name in enumerate(dataset.classes)]
    return captioned(picture_strip(rows, side=_SIDE), legend, textwrap.wrap(summary, 92)), summary


def _summary(protocol: Mapping[str, Any], shape: tuple[int, ...]) -> str:
    parts = [f"{protocol['dataset']}, {protocol['items']} items of {shape}"]
    parts += [f"split {', '.join(protocol['split'])}"] * isinstance(protocol.get("split"), list)
    parts.append(" -> ".join(protocol["transforms"]))
    if "published" in protocol:
        parts.append("published items" if protocol["published"] else "NOT the published items")
    if "manifest_sha256" in protocol:
        parts.append(f"manifest {protocol['manifest_sha256'][:12]}")
    return "; ".join(parts)
