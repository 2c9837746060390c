"""Weights of an epoch that are kept beside the checkpoints, put back, or drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.runner import Runner
from torch import Tensor

from ...registry import MODELS
from ..checkpoints.loading import load_checkpoint
from ..distributed import saving_together, unwrapped


def keep_weights(runner: Runner, file: str) -> None:
    """Write the model's weights into the run's folder, whole or not at all."""
    with saving_together(runner):
        runner.save_checkpoint(
            runner.work_dir,
            file,
            save_optimizer=False,
            save_param_scheduler=False,
            backend_args=dict(backend="sgseg_atomic"),
        )


@torch.no_grad()
def put_back(model: Any, path: Path, parts: Sequence[str] = ()) -> None:
    """Give all ranks the weights that rank 0, which alone has the file for sure, finds in it.

    Args:
        model: changed in place.
        path: as :func:`keep_weights` wrote it.
        parts: names of the model's parts that are put back; none are all.
    """
    kept: Mapping[str, Tensor] = load_checkpoint(path)["state_dict"] if is_main_process() else {}
    for name, tensor in model.state_dict().items():
        if parts and name.split(".")[0] not in parts:
            continue
        if kept:
            tensor.copy_(kept[name])
        broadcast(tensor)


def draw_anew(runner: Runner, parts: Sequence[str], number: int) -> None:
    """Draw the weights of some parts of the model anew; all ranks draw the same.

    Args:
        runner: its model and its optimiser's memory of these weights are changed.
        parts: names of the model's parts; those it has not are passed over.
        number: of the draw, 1 for the first after the run's own.
    """
    model = unwrapped(runner.model)
    with torch.random.fork_rng():  # what the run draws from here on stays as it is
        torch.manual_seed((runner.seed or 0) + 7919 * number)
        fresh: dict[str, Tensor] = MODELS.build(runner.cfg.model).state_dict()
    for name, value in model.state_dict().items():
        if name.split(".")[0] in parts:
            value.copy_(fresh[name])
    forget(runner, parts)


def forget(runner: Runner, parts: Sequence[str]) -> None:
    """Drop what the optimiser remembers of the weights of some parts."""
    optimizer = runner.optim_wrapper.optimizer
    for name, weight in unwrapped(runner.model).named_parameters():
        if name.split(".")[0] in parts:
            optimizer.state.pop(weight, None)
