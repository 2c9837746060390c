"""What several processes have to agree on."""

from __future__ import annotations

from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class EqualBuffersHook(Hook):
    """Give all ranks the running statistics of rank 0 before an evaluation.

    Without synchronised normalisation each rank has its own; a score would then mix several
    models, and the checkpoint, which holds rank 0's, would not repeat it.
    """

    priority = "HIGH"

    def before_val_epoch(self, runner: Runner) -> None:
        """Broadcast every buffer."""
        if is_distributed():
            for buffer in runner.model.buffers():
                broadcast(buffer, src=0)
