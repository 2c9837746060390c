"""Milliseconds and arithmetic an image, training and inference: Table 11 of the paper.

The head alone (AC's part of the model) and the full SGSeg at the paper's size, taking turns within
one run. On a GPU the same command measures the GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ..engine.run_card import device_name
from ..training import build_config
from ..training.length import stage_lengths
from . import measure
from .result import Result, Row
from .workload import (
    Training,
    countable,
    forward_backward,
    image_size,
    noise,
)

CONFIGS = {
    "head alone": "configs/sgseg/sgseg_nospnn_coco15.py",
    "SGSeg": "configs/sgseg/sgseg_diffgcn_coco15.py",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py runtimes``."""
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS.values()), help="to compare")
    parser.add_argument("--preset", help="sizes of the models; default those of the configs")
    parser.add_argument("--batch", type=int, default=1, help="images a step; the paper's is 1")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns, behind one that warms")


def run(args: argparse.Namespace) -> Result:
    """Measure the configs named on the command line."""
    known = {path: label for label, path in CONFIGS.items()}
    named = {known.get(path, Path(path).stem): path for path in args.configs}
    return compare(named, args.preset, args.batch, args.repeats)


def compare(
    configs: Mapping[str, str | Path], preset: str | None = None, batch: int = 1, repeats: int = 3
) -> Result:
    """Time and count each config's last training stage and its prediction.

    Args:
        configs: label -> config file.
        preset: sizes of the models.
        batch: images a step.
        repeats: timed turns.

    Returns:
        Columns ``training ms``, ``inference ms``, ``training GFLOP``, ``inference GFLOP``, all an
        image; and the device.
    """
    device = str(get_device())
    loaded = {label: build_config(path, preset=preset) for label, path in configs.items()}
    training, inference = {}, {}
    for label, config in loaded.items():
        work = Training(config, device)
        images = noise(config, batch, image_size(config)).to(device)
        training[label] = partial(work.step, images, list(stage_lengths(config))[-1])
        inference[label] = partial(work.predict, images)
    taken = measure.seconds(training, repeats, warm=1)
    read = measure.seconds(inference, repeats, warm=1)
    rows = []
    for label, config in loaded.items():
        counted = arithmetic(config)
        times = {"training ms": 1e3 * taken[label], "inference ms": 1e3 * read[label]}
        rows.append(Row(label, {key: value / batch for key, value in times.items()} | counted))
    figures: dict[str, float | str] = dict(device=device_name(), batch=batch)
    if len(rows) > 1:
        for key in ("training ms", "inference ms"):
            figures[f"{rows[-1].name} / {rows[0].name}, {key[:-3]}"] = (
                rows[-1].values[key] / rows[0].values[key]
            )
    return Result("Table 11: run times, an image", rows, figures)


def arithmetic(config: Config) -> dict[str, float]:
    """GFLOP an image of a training step, forward and backward, and of a prediction."""
    size, stage = image_size(config), list(stage_lengths(config))[-1]
    model: Any = countable(config.model)
    with measure.as_fake(model):
        images = noise(config, 1, size)
        trained = measure.flops(lambda: forward_backward(model, images, stage))
        model.eval()
        data = model.data_preprocessor(dict(inputs=images), False)
        with torch.no_grad():
            read = measure.flops(lambda: model(**data, mode="predict"))
    return {
        "training GFLOP": trained / measure.GIGA,
        "inference GFLOP": read / measure.GIGA,
    }
