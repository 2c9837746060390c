"""Begin several heads, and go on with the one whose readings agree best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..distributed import of_first, unwrapped
from .kept_weights import draw_anew, forget, keep_weights, put_back
from .label_free import score_images

META = "start_scores"
FILE = "best_start.pth"
PARTS = ("neck", "decode_head", "losses")  # a gate keeps what stage it is in


@HOOKS.register_module()
class BestStartHook(Hook):
    """Train several heads for a short time each; the one whose readings agree best goes on.

    Which clusters a head finds is decided in its first steps by the weights that it drew. A start
    that found poor ones is seen without labels: its eight readings of an image agree less,
    beyond what classes of these sizes agree by chance (``order_kappa`` of
    :class:`~sgseg.evaluation.LabelFreeScores`; a method with one reading is judged by
    ``flip_kappa``). After each start but the last the weights of the
    parts that cluster are drawn anew, from the run's seed and the number of the start, and the
    optimiser forgets them; after the last the best ones are put back. Epochs and rates go on
    throughout, so a run that is resumed begins and chooses where the unbroken one does.

    Args:
        starts: heads that are begun, at most; no more than fit into half of the run.
        length: part of the run's epochs that a start takes; one epoch at least.
        images: that are scored, evenly spread over the set that :class:`LabelFreeHook` scores.
        batch_size: images at a time.

    Attributes:
        scores: agreement of each start so far.

    Raises:
        ValueError: for arguments out of range.
    """

    priority = "NORMAL"  # before the checkpoint of the epoch

    def __init__(
        self, starts: int = 3, length: float = 0.05, images: int = 64, batch_size: int = 8
    ) -> None:
        if not 0 < length <= 0.5 or min(starts, images, batch_size) < 1:
            raise ValueError(
                f"BestStartHook: length = {length} must be in (0, 0.5], starts = {starts}, images "
                f"= {images} and batch_size = {batch_size} >= 1"
            )
        self.starts = starts
        self.length = length
        self.images = images
        self.batch_size = batch_size
        self.scores: list[float] = []
        self._epochs = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the starts of a run that goes on."""
        if runner._resume:
            self.scores = list((checkpoint.get("meta") or {}).get(META, []))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep their scores with the weights."""
        checkpoint["meta"][META] = list(self.scores)

    def before_train(self, runner: Runner) -> None:
        """Epochs in which the head trained, of a run that goes on."""
        first = runner.train_loop.epoch
        self._epochs = sum(_head_trains(runner, epoch) for epoch in range(first))

    def after_train_epoch(self, runner: Runner) -> None:
        """Score a start that has had its time, then begin the next or choose."""
        self._epochs += _head_trains(runner, runner.epoch)
        each = max(1, round(self.length * runner.max_epochs))
        starts = min(self.starts, runner.max_epochs // (2 * each))
        number = len(self.scores) + 1
        if starts < 2 or number > starts or self._epochs < number * each:
            return
        model = unwrapped(runner.model)
        loader = runner.train_dataloader if runner.val_loop is None else runner.val_dataloader
        scores = score_images(model, loader.dataset, self.images, self.batch_size)
        self.scores.append(scores.get("order_kappa", scores["flip_kappa"]))
        best = max(self.scores)
        if self.scores[-1] == best and number < starts:
            keep_weights(runner, FILE)
        if number < starts:
            draw_anew(runner, PARTS, number)
            return
        chosen, path = self.scores.index(best), Path(runner.work_dir, FILE)
        listed = ", ".join(f"{score:.3f}" for score in self.scores)
        said = f"Readings of {starts} starts agree, beyond chance, by {listed}"
        if self.scores[-1] == best:
            runner.logger.info(f"{said}: start {starts} goes on")
        elif of_first(path.is_file()):
            put_back(model, path, PARTS)
            forget(runner, PARTS)
            runner.logger.info(f"{said}: start {chosen + 1} goes on")
        else:
            runner.logger.warning(
                f"{said}, but {path}, which holds start {chosen + 1}, is gone: start {starts} goes "
                "on. Train anew for the better one"
            )


def _head_trains(runner: Runner, epoch: int) -> bool:
    """Whether the head that predicts trains in an epoch, by the stages of the run."""
    stages = [hook.stage_at(epoch) for hook in runner.hooks if hasattr(hook, "stage_at")]
    return stages[:1] not in (["superpixel"], ["auxiliary_head"])
