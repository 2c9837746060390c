"""What several processes have to agree on."""

from __future__ import annotations

from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class EqualBuffersHook(Hook):
    """Give all ranks the running statistics of rank 0 around an evaluation and an epoch.

    Without synchronised normalisation each rank has its own; a score would then mix several
    models, the checkpoint, which holds rank 0's, would not repeat it, and a backbone that is
    frozen from here on would differ between the ranks.
    """

    priority = "HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        """Broadcast every buffer."""
        self._equalise(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Broadcast every buffer."""
        self._equalise(runner)

    @staticmethod
    def _equalise(runner: Runner) -> None:
        if is_distributed():
            for buffer in runner.model.buffers():
                broadcast(buffer, src=0)
