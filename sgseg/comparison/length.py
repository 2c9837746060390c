"""How many epochs fit into some minutes: equal time for rows that cost unequally much."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Mapping
from itertools import count, pairwise
from pathlib import Path

import torch
from filelock import FileLock
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from ..engine.hooks.stage import turns_of
from ..io.jsonfile import read_json_if_whole, write_json
from ..io.progress import usable_cores
from ..registry import DATASETS, MODELS
from ..training.batch import fit_batch
from ..training.length import stage_epochs, stages_of
from ..training.loaders import settle_workers

_MOST = 100_000


def chosen_epochs(row_folder: Path, config: Config, minutes: float) -> int:
    """Epochs of all seeds of a config; measured once, then read from ``length.json``.

    The first run of the row times a few steps of each stage on the machine as it is then.
    Evaluations do not count. All seeds and restarts keep the number.
    """
    with FileLock(row_folder / "length.lock"):
        stored = read_json_if_whole(row_folder / "length.json")
        if stored is None:
            per_epoch = seconds_per_epoch(config)
            stored = dict(
                minutes=minutes,
                epochs=fitting_epochs(config, per_epoch, 60 * minutes),
                seconds_per_epoch=per_epoch,
                threads=torch.get_num_threads(),
                cores=usable_cores(),
                device=str(get_device()),
            )
            write_json(row_folder / "length.json", stored)
        return int(stored["epochs"])


def fitting_epochs(config: Config, per_epoch: Mapping[str, float], seconds: float) -> int:
    """Most epochs whose stages, in the schedule's proportion, fit; one for each stage at least.

    Stages that the epochs take in turn are all had equally often.
    """
    stages, total = stages_of(config), config.train_cfg.max_epochs
    turns = max(1, len(turns_of(config)))
    epochs = len(stages)
    while epochs < _MOST:
        starts = [*stage_epochs(stages, total, epochs + 1), epochs + 1]
        spans = (after - before for before, after in pairwise(starts))
        names = (name for _, name in stages)
        if sum(per_epoch[n] * span for n, span in zip(names, spans, strict=True)) > seconds:
            break
        epochs += 1
    return max(epochs // turns, 1) * turns


def seconds_per_epoch(config: Config, steps: int = 4) -> dict[str, float]:
    """Measured seconds of an epoch in each stage, with the loading of its data.

    Args:
        config: from :func:`sgseg.training.build_config`.
        steps: timed steps a stage, after one that does not count.
    """
    config = copy.deepcopy(config)
    settle_workers(config)
    fit_batch(config, len(DATASETS.build(config.train_dataloader.dataset)))
    seed = int((config.get("randomness") or {}).get("seed") or 0)
    torch.manual_seed(seed)
    model = MODELS.build(config.model).to(get_device())
    optimiser = build_optim_wrapper(model, config.optim_wrapper)
    loader = Runner.build_dataloader(config.train_dataloader, seed=seed)
    batches = (batch for _ in count() for batch in loader)
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    seconds = {}
    for _, stage in stages_of(config):
        costs = []
        for part in turns_of(config) or (stage,):
            model.train()
            if hasattr(model, "stage"):
                model.stage = part
            taken = []
            for _ in range(steps + 1):
                wait()
                started = time.perf_counter()
                model.train_step(next(batches), optim_wrapper=optimiser)
                wait()
                taken.append(time.perf_counter() - started)
            costs.append(statistics.median(taken[1:]) * len(loader))
        seconds[stage] = statistics.mean(costs)
    return seconds
