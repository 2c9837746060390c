"""Training and test of a config, as ``sgseg train`` and ``sgseg test`` do them."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.distributed import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ..engine.checkpoints.loading import load_checkpoint
from ..engine.console import RunConsole
from ..engine.distributed import SharedStopHook, largest
from ..engine.hooks.progress import ProgressHook
from ..engine.interrupt import leaving_on_signals
from ..engine.run_card import run_card
from ..engine.untrained import UntrainedLoop
from ..engine.work_dir import (
    clean_start,
    decide_once,
    evaluation_place,
    launchers,
    training_place,
)
from ..io.jsonfile import json_safe
from ..io.units import Units
from ..registry import is_a
from .batch import fit_batch
from .length import untrained
from .loaders import LOADERS, settle_device
from .runner import build_datasets, build_runner, reuse_datasets, starting_point
from .words import beginning, ending


def _join_processes(config: Config) -> None:
    """Open the process group: the first process decides where the run writes, before it does.

    Where torchrun prepared it, mmengine would go wrong without a GPU; and after a restart, for
    torchrun's store still holds the addresses of the processes that died (pytorch issue 135712),
    so each start has keys of its own. A store that is new at each start needs none, and must not
    have them: each machine counts only the restarts that it caused (pytorch issue 108158).
    """
    on_gpu = torch.cuda.is_available()
    if config.launcher == "none" or is_distributed():
        return
    group: dict[str, Any] = {}
    if config.launcher == "pytorch":
        store, rank, world = next(iter(rendezvous("env://")))
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "False":
            store = PrefixStore(f"start_{_restarts()}", store)
        group = dict(store=store, rank=rank, world_size=world)
        if not on_gpu:
            torch.distributed.init_process_group("gloo", **group)
            return
    set_multi_processing(**config.env_cfg.get("mp_cfg", {}), distributed=True)
    init_dist(config.launcher, **config.env_cfg.get("dist_cfg", {}), **group)


def _restarts() -> int:
    """How often torchrun has started the processes of this machine again, because one died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def train(config: Config, resume: bool = False, console: RunConsole | None = None) -> Runner:
    """Train as the config says; returns the runner when done.

    ``run.json`` in the work dir says what ran and how it ended. SIGTERM and Ctrl-C save a
    checkpoint first (:func:`sgseg.engine.interrupt.leaving_on_signals`). A start that fails leaves
    no files (:mod:`sgseg.engine.work_dir`).

    Args:
        config: from :func:`build_config`.
        resume: go on from the newest whole checkpoint in the work dir, if there is one. A
            process that torchrun starts again does so unasked.
        console: where progress is shown; default one of its own. The whole log goes to the
            work dir.

    Raises:
        FileNotFoundError: for missing data.
        ValueError: for a checkpoint to load or resume from that is broken or does not fit, a
            work dir that holds another run, or a training set that is too small.
    """
    if console is None:
        with RunConsole() as console:
            return train(config, resume, console)
    config = copy.deepcopy(config)
    settle_device(config)
    _join_processes(config)
    datasets = build_datasets(config, LOADERS[:2])
    steps, changed = fit_batch(config, len(datasets[LOADERS[0]]))
    given = config.get("load_from")
    if given is not None and "://" not in str(given):
        load_checkpoint(given)
    resume = resume or bool(config.get("resume"))
    agents, restarted = launchers(), largest(_restarts())[0] > 0
    place = decide_once(
        lambda: training_place(config.get("work_dir"), config.filename, resume, restarted, agents)
    )
    with clean_start(place, config.filename) as begun:
        warnings = [*place.said, *changed, *steps.warnings(), *untrained(config)]
        lines = [] if is_a(config.train_cfg, UntrainedLoop) else steps.lines()
        runner = build_runner(config, place, console, lines, warnings)
        progress = ProgressHook(console)
        for hook in (begun, SharedStopHook(), progress):
            runner.register_hook(hook)
        reuse_datasets(runner, datasets)
        start = starting_point(runner, place.resume)
        for line in beginning(runner, steps):
            console.say(line)
        since = time.monotonic()
        with run_card(runner, start, asdict(steps), agents), leaving_on_signals(runner), progress:
            runner.train()
    for line in ending(runner, time.monotonic() - since):
        console.say(line)
    return runner


def test(
    config: Config,
    checkpoint: str | Path,
    console: RunConsole | None = None,  # noqa: PT028
) -> dict[str, Any]:
    """Score a checkpoint on the config's test set; writes ``eval.json`` and pictures.

    They go to the config's ``work_dir`` if it has one, or else to ``test_<checkpoint>`` beside the
    checkpoint, or ``..._2`` ... if that is there; ``config.work_dir`` then says which.

    Args:
        config: from :func:`config_for`; ``work_dir`` is set in it.
        checkpoint: its path.
        console: where warnings are shown; default one of its own.

    Returns:
        The record as ``eval.json`` holds it.

    Raises:
        ValueError: for a config without a labelled test set, images in other units than those of
            the training, or a broken checkpoint.
    """
    if console is None:
        with RunConsole() as console:
            return test(config, checkpoint, console)
    if not config.get("test_evaluator"):
        raise ValueError(
            "This config has no test set with labels (a run trained without any carries none). "
            "Put label maps in labels/ beside images/, and give a config file and --data"
        )
    meta = load_checkpoint(checkpoint).get("meta") or {}
    trained_on = _manifest(meta.get("dataset_meta"))
    config.load_from = str(checkpoint)
    settle_device(config)
    _join_processes(config)
    datasets = build_datasets(config, LOADERS[2:])
    for name, dataset in datasets.items():
        _check_units(config[name].dataset, dataset.units, Units.of(meta.get("units")))
    place = decide_once(lambda: evaluation_place(config.get("work_dir"), checkpoint))
    config.work_dir = str(place.folder)
    with clean_start(place, config.filename) as begun:
        runner = build_runner(config, place, console, place.said)
        runner.register_hook(begun)
        reuse_datasets(runner, datasets)
        runner.test()
    record = json_safe(runner.test_evaluator.metrics[0].record)
    scored_on = _manifest(record)
    if trained_on and scored_on and trained_on != scored_on:
        runner.logger.warning(
            f"{checkpoint} was trained on the data of manifest {trained_on}, this score is on "
            f"those of {scored_on}"
        )
    return record


def _check_units(dataset: Mapping[str, Any], units: Units, trained_on: Units | None) -> None:
    """ValueError for images in other units than the training's of which no range is stated."""
    if trained_on in (None, units) or dataset.get("value_range") is not None:
        return
    raise ValueError(
        f"The images to score hold {units}, the model was trained on {trained_on}: convert them, "
        "or state which of their values stand for 0 and 1 (--value-range LOW HIGH)"
    )


def _manifest(described: Mapping[str, Any] | None) -> str | None:
    """The data's identity in a record or in a checkpoint's description of its data."""
    return ((described or {}).get("protocol") or {}).get("manifest_sha256")
