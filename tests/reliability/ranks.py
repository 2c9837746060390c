"""Tiny runs in several gloo processes, each with an image at a time."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from sgseg.registry import HOOKS
from sgseg.training import train
from tests.reliability.runs import in_a_process, noisy_config

Left = dict[str, Any]
EPOCH = 4
"""Steps in an epoch, with one image at a time on each process."""


def config_for(folder: str, **options: Any) -> Config:
    """The tiny recipe of three epochs of four steps, over however many processes there are."""
    sizes = {
        "train_dataloader.batch_size": 1,
        "train_dataloader.dataset.length": EPOCH * get_world_size(),
    }
    config = noisy_config(Path(folder), **sizes | options)
    config.launcher = "pytorch"
    config.env_cfg.dist_cfg.backend = "gloo"
    config.model_wrapper_cfg = dict(
        type="MMDistributedDataParallel",
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )
    return config


def run(config: Config, hook: type[Hook] | None = None, **options: Any) -> Left:
    """Train in this process of several, with one more hook; where and how it ended."""
    if hook is not None:
        HOOKS.register_module(module=hook, name="Planted", force=True)
        config.custom_hooks.append(dict(type="Planted", **options))
    with pytest.MonkeyPatch.context() as patch:
        module = sys.modules["sgseg.training.run"]  # its function has the same name
        patch.setattr(module, "_join_processes", lambda config: None)  # joined already
        patch.setattr(Config, "pretty_text", "")  # formatting it takes longer than these runs
        try:
            runner = train(config)
        except (Exception, SystemExit) as error:
            return dict(error=type(error).__name__, text=str(error))
    return dict(error="", epoch=runner.epoch, iter=runner.iter)


def _on_rank(
    function: Callable[..., Any], folder: str, rank: int, world: int, args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    found = function(rank, *args)
    torch.save(found, f"{folder}/rank_{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def on_ranks(
    world: int, folder: Path, function: Callable[..., Any], *args: Any, patience: float = 100
) -> list[Any]:
    """What ``function(rank, *args)`` returns in each of ``world`` gloo processes.

    A process that is still busy after ``patience`` seconds, for all of them, fails the test: it
    waits for one that left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for slow in ("torch._dynamo", "matplotlib.pyplot"):
        importlib.import_module(slow)  # once, and not in every process
    pool = [
        in_a_process(_on_rank, function, str(folder), rank, world, args) for rank in range(world)
    ]
    end = time.monotonic() + patience
    for process in pool:
        process.join(max(end - time.monotonic(), 0))
    codes = [process.exitcode for process in pool]
    for process in pool:
        process.kill()
    assert codes == [0] * world, "exit code of each rank; None: it never ended"
    return [torch.load(folder / f"rank_{rank}.pt", weights_only=True) for rank in range(world)]
