"""Hooks that end one rank of a run once, and that write steps down; for runs of torchrun."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook

from sgseg.registry import HOOKS


@HOOKS.register_module()
class DyingRankHook(Hook):
    """Raise on rank 1 at an iteration, in a first start only; or be killed there."""

    def __init__(self, at: int, killed: bool = False) -> None:
        self.at, self.killed = at, killed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Die where it is wanted."""
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first and get_rank() == 1 and runner.iter == self.at:
            if self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("planted on rank 1")


@HOOKS.register_module()
class PacedHook(Hook):
    """Write down rank, processes and number of each step, and take a second for it.

    Args:
        journal: file to append to; once ``journal.fast`` is there, steps take no time.
    """

    def __init__(self, journal: str) -> None:
        self.journal = Path(journal)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """A line ``RANK PROCESSES STEP IMAGES``, in one write."""
        images = len(data_batch["inputs"])
        with self.journal.open("a") as file:
            file.write(f"{get_rank()} {get_world_size()} {runner.iter} {images}\n")
        if not self.journal.with_suffix(".fast").exists():
            time.sleep(1)
