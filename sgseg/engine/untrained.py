"""Runs of methods that train nothing: an epoch without a step, then the usual evaluation."""

from __future__ import annotations

from mmengine.runner import EpochBasedTrainLoop

from ..registry import LOOPS


@LOOPS.register_module()
class UntrainedLoop(EpochBasedTrainLoop):
    """Epochs without steps, for the Random CNN and K-Means.

    Hooks, evaluation and checkpoints are those of a training run, so that its files are the same.
    One epoch says everything; a second would repeat it.
    """

    def run_epoch(self) -> None:
        """Call the hooks of an epoch, and nothing between them."""
        self.runner.call_hook("before_train_epoch")
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
