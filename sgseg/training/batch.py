"""The batch of a training step: the stated total, and the share of each process.

    total_batch_size = processes x train_dataloader.batch_size x accumulative_counts

Learning rates belong to the total, so a config states that, and the size of a process follows.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size, is_distributed
from mmengine.logging import print_log

_WORLD_SIZES = dict(pytorch="WORLD_SIZE", slurm="SLURM_NTASKS", mpi="OMPI_COMM_WORLD_SIZE")
"""Launcher -> the environment variable that holds the number of processes."""
TOTAL, SHARE = "total_batch_size", "train_dataloader.batch_size"


@dataclass(frozen=True)
class Steps:
    """What an epoch is made of.

    Args:
        total: images of a step of the optimiser, over all processes.
        processes: how many train.
        per_process: images that a process has in memory at a time.
        accumulation: forward and backward passes of a step.
        images: of the training set.
        drawn: of an epoch: each once, or as many as the sampler draws.
        steps_per_epoch: of the optimiser, the last one whole.
        left_out: drawn images that an epoch does not see, for they make no whole batch.
        rotating: whether the order is drawn anew each epoch.
    """

    total: int
    processes: int
    per_process: int
    accumulation: int
    images: int
    drawn: int
    steps_per_epoch: int
    left_out: int
    rotating: bool

    def lines(self) -> list[str]:
        """The same for a person."""
        left_out = ""
        if self.left_out:
            others = "others each time, as the order is drawn anew" if self.rotating else "the last"
            left_out = f", left out of each epoch: {self.left_out}, {others}"
        if self.drawn != self.images:
            left_out = f"; an epoch draws {self.drawn} of them{left_out}"
        return [
            f"Total batch: {self.total} images a step (processes: {self.processes}, images a "
            f"process: {self.per_process}, accumulated: {self.accumulation})",
            f"Steps an epoch: {self.steps_per_epoch} (images: {self.images}{left_out})",
        ]

    def warnings(self) -> list[str]:
        """What a person may not have meant."""
        said = []
        if self.left_out > self.drawn // 10:
            part = self.processes * self.accumulation
            totals = range(self.total, self.total // 2, -part)
            best = min(totals, key=lambda total: self.drawn % total)
            said.append(
                f"{self.left_out} of {self.drawn} images are left out of each epoch of "
                f"{self.steps_per_epoch} steps, others each time, for they make no whole batch; "
                f"--cfg-options {TOTAL}={best} leaves out {self.drawn % best}"
            )
        if self.accumulation > 1:
            said.append(
                f"accumulative_counts = {self.accumulation}: mutual information and batch "
                f"normalisation see {self.per_process * self.processes} images at a time, not "
                f"{self.total}, which is another loss than that of a batch of {self.total}. More "
                "processes at the same total keep it"
            )
        return said


def world_size(launcher: str) -> int:
    """Number of processes of this run, before or after they have joined."""
    if is_distributed():
        return int(get_world_size())
    return int(os.environ.get(_WORLD_SIZES.get(launcher, ""), "1"))


def settle_stated(config: Config) -> None:
    """Keep of a total and the size of a process, where a file states both, what somebody set.

    The shipped files state a total alone. A config that a run dumped has both, and says of how many
    processes: there the size of a process follows anew. Where the two do not fit, the size of a
    process was set in a file that inherits the total.

    Args:
        config: as read, changed in place.
    """
    loader = config.get("train_dataloader") or {}
    total, share = config.get(TOTAL), loader.get("batch_size")
    if total is None or share is None:
        return
    if share * config.pop("processes", 1) * _accumulation(config) == total:
        loader.pop("batch_size")
        return
    print_log(
        f"{config.filename}: {SHARE} = {share}, of each process, is taken, not the {TOTAL} = "
        f"{total} beside it; learning rates belong to the total",
        logger="current",
        level=logging.WARNING,
    )
    config.pop(TOTAL)


def share_batch(config: Config, total_given: bool = False) -> None:
    """Give each process its part of ``total_batch_size``.

    Where ``train_dataloader.batch_size`` is set, of one process, the total follows and is no longer
    stated.

    Args:
        config: changed in place.
        total_given: whether the total is an override, not only the config's.

    Raises:
        ValueError: for a total that does not divide, with those near it that do, or two overrides
            that contradict each other.
    """
    loader, total = config.get("train_dataloader"), config.get(TOTAL)
    if not loader or total is None:
        return
    processes, accumulated = world_size(config.get("launcher", "none")), _accumulation(config)
    share = loader.get("batch_size")
    if share is None:
        loader.batch_size = _part(total, processes, accumulated)
        config.processes = processes
        return
    if total_given and share * processes * accumulated != total:
        raise ValueError(
            f"{TOTAL} = {total} and {SHARE} = {share} contradict each other: {processes} "
            f"processes x {share} images x {accumulated} accumulated make "
            f"{share * processes * accumulated}. Set one of them"
        )
    config.pop(TOTAL)


def fit_batch(config: Config, images: int) -> tuple[Steps, list[str]]:
    """The steps of an epoch; a batch larger than the set is lowered.

    Args:
        config: ``train_dataloader.batch_size`` and ``total_batch_size`` may change in place.
        images: of the training set.

    Returns:
        The steps, and a sentence on each thing that was changed.

    Raises:
        ValueError: with fewer images than one for each process and accumulated pass.
    """
    loader = config.train_dataloader
    processes, accumulated = world_size(config.get("launcher", "none")), _accumulation(config)
    drawn = (loader.get("sampler") or {}).get("images") or images
    if type(drawn) is not int:
        raise ValueError(
            f"train_dataloader.sampler.images = {drawn!r}: wanted is a whole number, or None"
        )
    if limit := loader.get("num_batch_per_epoch"):
        drawn = min(drawn, limit * loader.batch_size * processes)
    total, changed = loader.batch_size * processes * accumulated, []
    if config.get(TOTAL) not in (None, total):  # the size of a process was set after the config
        config.pop(TOTAL)
        config.pop("processes", None)
    if drawn < total and loader.get("drop_last"):
        fitting = drawn // (processes * accumulated)
        if not fitting:
            raise ValueError(
                f"An epoch has {drawn} images, fewer than {processes} processes x "
                f"{accumulated} accumulated passes (optim_wrapper.accumulative_counts) need. "
                "Start fewer, or give more images (train_dataloader.dataset)"
            )
        changed.append(
            f"An epoch has {drawn} images, fewer than a batch of {total}: the total "
            f"batch is lowered to {fitting * processes * accumulated} ({TOTAL})"
        )
        loader.batch_size = fitting
        if TOTAL in config:
            config[TOTAL] = fitting * processes * accumulated
    return _steps(loader, processes, accumulated, images, drawn), changed


def _steps(loader: Any, processes: int, accumulated: int, images: int, drawn: int) -> Steps:
    share = loader.batch_size
    each = max(1, drawn // processes)  # the sampler gives every process as many
    passes = each // share if loader.get("drop_last") else -(-each // share)
    seen = min(passes * share, each) * processes
    return Steps(
        total=share * processes * accumulated,
        processes=processes,
        per_process=share,
        accumulation=accumulated,
        images=images,
        drawn=drawn,
        steps_per_epoch=passes // accumulated,
        left_out=max(0, drawn - seen),
        rotating=bool((loader.get("sampler") or {}).get("shuffle", True)),
    )


def _part(total: int, processes: int, accumulated: int) -> int:
    """Images of a process at a time."""
    parts = processes * accumulated
    if total % parts == 0 and total >= parts:
        return total // parts
    near = sorted({max(1, total // parts) * parts, (total // parts + 1) * parts})
    fitting = [n for n in range(1, total + 1) if total % (n * accumulated) == 0]
    advice = f"Set {TOTAL} to {' or '.join(map(str, near))}"
    if fitting:
        advice += f", or start {', '.join(map(str, fitting))} processes"
    raise ValueError(
        f"{TOTAL} = {total} does not divide among {processes} processes x {accumulated} "
        f"accumulated passes. {advice}"
    )


def _accumulation(config: Config) -> int:
    return int((config.get("optim_wrapper") or {}).get("accumulative_counts", 1))
