"""Measure the training time of a run, over all its restarts."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS


@HOOKS.register_module()
class TrainingClockHook(Hook):
    """Add up the wall time of the training epochs; checkpoints carry it on.

    Steps and the loading of their data count, and those of an epoch that is saved in its middle;
    evaluations, pictures and saving after an epoch do not, nor what an interruption threw away.

    Attributes:
        seconds: so far.
    """

    # The first to hear of an epoch's end, so that no other hook's work is counted.
    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started: float | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Start."""
        self._started = time.perf_counter()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop."""
        self.seconds, self._started = self._so_far(), None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Hand the sum on."""
        checkpoint["meta"]["training_seconds"] = self._so_far()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint's sum."""
        if runner._resume:
            self.seconds = float(checkpoint["meta"].get("training_seconds", 0.0))

    def _so_far(self) -> float:
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self.seconds + running
