"""Save checkpoints after the evaluation of an epoch, and within an epoch if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..distributed import saving_together
from .newest import remove_between, save_between


@HOOKS.register_module()
class EvaluatedCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, saving an epoch after its evaluation instead of before.

    So ``epoch_N.pth`` carries the cluster-to-class table found in epoch N, and a run resumed from
    it does not skip that evaluation.

    Args:
        every_iters: save in the middle of an epoch too, after so many iterations; 0 saves at
            ends of epochs only. With gradient accumulation, behind the next step of the optimiser.
        keep_iters: so many of the files in between are kept.
        **options: those of mmengine's ``CheckpointHook``.

    Raises:
        ValueError: if fewer than two checkpoints would be kept, or they would be kept where, or
            under names, that ``--resume`` does not look for.
    """

    def __init__(self, every_iters: int = 0, keep_iters: int = 2, **options: Any) -> None:
        super().__init__(**options)
        moved = [key for key in ("by_epoch", "filename_tmpl", "out_dir") if key in options]
        if moved:
            raise ValueError(
                f"EvaluatedCheckpointHook: {', '.join(moved)} cannot be set: checkpoints are "
                "WORK_DIR/epoch_N.pth, which --resume goes on from. every_iters saves more often, "
                "--work-dir says where"
            )
        if self.max_keep_ckpts == 1 or keep_iters < 2:
            raise ValueError(
                f"EvaluatedCheckpointHook: max_keep_ckpts = {self.max_keep_ckpts}, keep_iters = "
                f"{keep_iters}; keep two or more (max_keep_ckpts = -1: all): the old file goes "
                "before the new one is whole, and a crash between the two would lose the run"
            )
        if every_iters < 0:
            raise ValueError(f"EvaluatedCheckpointHook: every_iters = {every_iters}; 0 or more")
        self.every_iters = every_iters
        self.keep_iters = keep_iters
        self._due = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Save in the middle of an epoch where that is asked for."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._due |= self.every_iters > 0 and (runner.iter + 1) % self.every_iters == 0
        if self._due and runner.optim_wrapper.should_update():
            save_between(runner, self.keep_iters)
            self._due = False

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        with saving_together(runner):
            super()._save_checkpoint_with_step(runner, step, meta)

    def after_train(self, runner: Runner) -> None:
        """A finished run needs no checkpoint in between."""
        super().after_train(runner)
        if is_main_process():
            remove_between(Path(runner.work_dir))

    def after_train_epoch(self, runner: Runner) -> None:
        """Save now only if no evaluation follows."""
        if not self._evaluated(runner):
            super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the epoch that was just evaluated, then let the best one be kept."""
        epoch = runner.epoch  # already counts the epoch that ended
        due = self.interval > 0 and (epoch - self.save_begin) % self.interval == 0
        last = self.save_last and epoch == runner.max_epochs
        if self.by_epoch and ((due and epoch > self.save_begin) or last):
            runner.logger.info(f"Saving checkpoint at {epoch} epochs")
            self._save_checkpoint_with_step(runner, epoch, dict(epoch=epoch, iter=runner.iter))
        super().after_val_epoch(runner, metrics)

    @staticmethod
    def _evaluated(runner: Runner) -> bool:
        if runner.val_loop is None:
            return False
        epoch, loop = runner.epoch + 1, runner.train_loop
        return epoch >= loop.val_begin and (
            epoch % loop.val_interval == 0 or epoch == runner.max_epochs
        )
