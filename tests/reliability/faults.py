"""A hook that ends one rank of a run once; imported by runs that torchrun starts."""

from __future__ import annotations

import os
import signal
from typing import Any

from mmengine.dist import get_rank
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
