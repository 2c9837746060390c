"""How long the training of a run took, over all its restarts."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class TrainingClockHook(Hook):
    """Add up the wall time of the training epochs; checkpoints carry it on.

    Steps and the loading of their data count; evaluations, pictures and saving do not, nor what
    an interruption threw away.

    Attributes:
        seconds: so far.
    """

    # The first to hear of an epoch's end, so that no other hook's work is counted.
    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Start."""
        self._started = time.perf_counter()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop."""
        self.seconds += time.perf_counter() - self._started

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Hand the sum on."""
        checkpoint["meta"]["training_seconds"] = self.seconds

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint's sum."""
        if runner._resume:
            self.seconds = float(checkpoint["meta"].get("training_seconds", 0.0))
