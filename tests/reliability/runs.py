"""Tiny runs that draw from every generator, so that whatever a restart forgets shows in weights."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.registry import HOOKS
from sgseg.training import train
from tests.conftest import tiny_config

STEPS = 4
"""In an epoch of :func:`noisy_config`; three epochs, the second stage from epoch 2 on."""


@HOOKS.register_module(force=True)
class NoiseHook(Hook):
    """Shake the weights by a draw of torch, NumPy and Python each; an optional act at a step."""

    act: Callable[[Any], None] | None = None
    at: tuple[str, int] = ("", 0)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Draw and shake."""
        noise = float(torch.rand(())) + float(np.random.rand()) + random.random()
        with torch.no_grad():
            for weight in runner.model.parameters():
                weight.add_(1e-4 * noise)
        self._act("step", runner, runner.iter)

    def after_val_iter(self, runner: Any, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Draw in the evaluation too."""
        torch.rand(())
        self._act("evaluation", runner, runner.epoch)

    def _act(self, kind: str, runner: Any, number: int) -> None:
        if NoiseHook.act is not None and NoiseHook.at == (kind, number):
            act, NoiseHook.act = NoiseHook.act, None
            act(runner)


def quick_config(work_dir: Path, **options: Any) -> Config:
    """The tiny recipe of three epochs, without pictures."""
    config = tiny_config(work_dir, **options)
    config.default_hooks.pop("pictures")
    return config


def noisy_config(work_dir: Path, workers: int = 0, **options: Any) -> Config:
    """Three epochs of four steps with noise in every step."""
    sizes = {"train_dataloader.batch_size": 2, "train_dataloader.num_workers": workers}
    config = quick_config(work_dir, **sizes | options)
    config.custom_hooks.append(dict(type="NoiseHook"))
    return config


def unbroken(work_dir: Path, **options: Any) -> dict[str, Any]:
    """The last checkpoint of a run that nothing disturbed."""
    train(noisy_config(work_dir, **options))
    return load_checkpoint(work_dir / "epoch_3.pth")


def difference(one: Any, other: Any) -> float:
    """Largest absolute difference of two nested structures; infinite where they differ in kind."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return float("inf")
        return max([0.0, *(difference(one[key], other[key]) for key in one)])
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return float("inf")
        return max([0.0, *(difference(a, b) for a, b in zip(one, other))])
    if isinstance(one, torch.Tensor):
        same = one.shape == other.shape and one.dtype == other.dtype
        gap = (one.double() - other.double()).abs()
        return float(gap.max() if gap.numel() else 0.0) if same else float("inf")
    return 0.0 if one == other else float("inf")


def assert_same_run(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Weights, optimiser, schedules, metric and random states are equal to the last bit."""
    for key in ("state_dict", "optimizer", "param_schedulers", "random"):
        assert difference(one[key], other[key]) == 0.0, key
    for key in ("epoch", "iter", "evaluation"):
        assert difference(one["meta"][key], other["meta"][key]) == 0.0, key


def in_a_process(function: Callable[..., None], *args: Any) -> multiprocessing.Process:
    """A started child of this process: it has everything imported already."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    return process  # type: ignore[return-value]
