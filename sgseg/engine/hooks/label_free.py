"""Scores without labels after every epoch, and stopping by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import default_collate

from ...evaluation.label_free import NAMES, LabelFreeScores
from ...io.atomic import write_atomically
from ...registry import HOOKS
from ..distributed import largest, of_first, unwrapped
from .kept_weights import keep_weights

FILE = "label_free.json"


@HOOKS.register_module()
class LabelFreeHook(Hook):
    """Score some images without their labels after each epoch in which the head trained.

    The images are those of the evaluation's set, or of the training set where nothing is
    evaluated, evenly spread, the same ones every time. The scores of
    :class:`~sgseg.evaluation.LabelFreeScores` go into the log and into ``label_free.json``.
    Nothing of the training changes: no label is read, and nothing is drawn.

    Args:
        images: how many; each is read in the eight orders, and predicted twice.
        interval: epochs between scores; the last epoch is always scored.
        batch_size: images at a time.

    Attributes:
        history: one record an epoch, oldest first: ``epoch`` and the scores.

    Raises:
        ValueError: if an argument is below 1.
    """

    priority = "NORMAL"

    def __init__(self, images: int = 16, interval: int = 1, batch_size: int = 8) -> None:
        if min(images, interval, batch_size) < 1:
            raise ValueError(
                f"LabelFreeHook: images = {images}, interval = {interval} and batch_size = "
                f"{batch_size} must be >= 1"
            )
        self.images = images
        self.interval = interval
        self.batch_size = batch_size
        self.history: list[dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Take over what a resumed run has scored up to its checkpoint."""
        path = Path(runner.work_dir) / FILE
        if runner.epoch > 0 and path.is_file():
            epochs = json.loads(path.read_text(encoding="utf-8"))["epochs"]
            self.history = [record for record in epochs if record["epoch"] <= runner.epoch]

    def after_train_epoch(self, runner: Runner) -> None:
        """Score the epoch that ends."""
        epoch = runner.epoch + 1
        model = unwrapped(runner.model)
        due = epoch % self.interval == 0 or epoch == runner.max_epochs
        if due and getattr(model, "stage", None) != "superpixel":
            self._score(runner, epoch)

    def score_again(self, runner: Runner) -> None:
        """Score the epoch that ends anew, after its weights were changed for others."""
        epoch = runner.epoch + 1
        self.history = [record for record in self.history if record["epoch"] != epoch]
        self._score(runner, epoch)

    def _score(self, runner: Runner, epoch: int) -> None:
        model = unwrapped(runner.model)
        loader = runner.train_dataloader if runner.val_loop is None else runner.val_dataloader
        scores = score_images(model, loader.dataset, self.images, self.batch_size)
        self.history.append(dict(epoch=epoch) | scores)
        runner.logger.info(
            f"Without labels, epoch {epoch}: "
            + ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        )
        runner.visualizer.add_scalars(
            {f"label_free/{name}": value for name, value in scores.items()} | dict(epoch=epoch),
            step=runner.iter,
        )
        self._write(Path(runner.work_dir), len(loader.dataset))

    @master_only
    def _write(self, work_dir: Path, size: int) -> None:
        content = dict(images=min(self.images, size), epochs=self.history)
        write_atomically(work_dir / FILE, json.dumps(content, indent=1).encode())


def spread_images(model: Any, dataset: Any, images: int, batch_size: int) -> Iterator[Tensor]:
    """This process's part of some images, evenly spread over a data set, as the model sees them.

    Args:
        model: a segmentor; in eval mode meanwhile, then in its own again.
        dataset: items with ``inputs`` of one size; labels among them are not looked at.
        images: how many items; several ranks share them, and may be more than there are.
        batch_size: items at a time.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(images, len(dataset))).astype(int))
    chosen = chosen[get_rank() :: get_world_size()]
    training = model.training
    model.eval()
    for start in range(0, len(chosen), batch_size):
        items = [dataset[int(index)]["inputs"] for index in chosen[start : start + batch_size]]
        yield model.data_preprocessor(dict(inputs=default_collate(items)), False)["inputs"]
    model.train(training)


@torch.no_grad()
def score_images(
    model: Any, dataset: Any, images: int = 16, batch_size: int = 8
) -> dict[str, float]:
    """Label-free scores of a segmentor on evenly spread images; see :func:`spread_images`."""
    totals: LabelFreeScores | None = None
    for inputs in spread_images(model, dataset, images, batch_size):
        readings = model.readings(inputs)  # (R, B, K, H, W)
        prediction = model.probability(inputs)  # (B, K, H, W)
        mirrored = model.probability(inputs.flip(3)).flip(3)  # (B, K, H, W)
        totals = totals or LabelFreeScores(len(readings), prediction.shape[1])
        totals.add(readings, prediction, mirrored)
    # A process without an image learns from the others what there was to count.
    sizes = largest(*((totals.readings, totals.classes) if totals else (0, 0)))
    return (totals or LabelFreeScores(*sizes)).scores()


@HOOKS.register_module()
class LabelFreeStoppingHook(Hook):
    """Stop when a label-free score no longer rises, and keep the weights of its best epoch.

    ``best_label_free.pth`` are the weights with the highest score so far: selected without
    labels. Whether to stop follows from the scores' history alone, so a resumed run stops where
    the unbroken one does. The epoch that a run stops in is evaluated, whatever ``val_interval``.

    Args:
        monitor: one of :data:`~sgseg.evaluation.label_free.NAMES`.
        patience: scored epochs without a rise before the run stops.

    Raises:
        ValueError: for an unknown score, or a config without ``LabelFreeHook``.
    """

    priority = "BELOW_NORMAL"  # after the hook that scores

    def __init__(self, monitor: str = "mutual_information", patience: int = 5) -> None:
        if monitor not in NAMES or patience < 1:
            raise ValueError(
                f"LabelFreeStoppingHook: monitor = {monitor!r} must be one of {NAMES} and "
                f"patience = {patience} >= 1"
            )
        self.monitor = monitor
        self.patience = patience
        self._evaluated = 0  # unknown after a restart: then once more does no harm

    def before_train(self, runner: Runner) -> None:
        """Stay stopped, if this run was."""
        scoring = [hook for hook in runner.hooks if isinstance(hook, LabelFreeHook)]
        if not scoring:
            raise ValueError(
                "LabelFreeStoppingHook needs the scores: add default_hooks.label_free = "
                "dict(type='LabelFreeHook')"
            )
        self._scores = scoring[0]
        if self._since_best() >= self.patience:
            runner.train_loop.stop_training = True

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the best weights; stop when their score has not risen for ``patience`` epochs."""
        epoch, history = runner.epoch + 1, self._scores.history
        if not history or history[-1]["epoch"] != epoch:
            return
        waited = self._since_best()
        if waited == 0:
            keep_weights(runner, "best_label_free.pth")
        elif waited >= self.patience:
            best = history[-1 - waited]
            runner.logger.info(
                f"{self.monitor} has not risen since epoch {best['epoch']} "
                f"({best[self.monitor]:.4f}): stopping. The weights of that epoch are "
                "best_label_free.pth, selected without labels"
            )
            runner.train_loop.stop_training = True

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remember that this epoch has a score."""
        self._evaluated = runner.epoch

    def after_train(self, runner: Runner) -> None:
        """Evaluate the epoch that the run stopped in."""
        stopped = runner.train_loop.stop_training
        if stopped and runner.val_loop is not None and self._evaluated != runner.epoch:
            runner.val_loop.run()

    def _since_best(self) -> int:
        """Scored epochs since the best one; 0 if it is the last, or there is none.

        Rank 0 decides: one on another machine may not have read what was scored before a restart.
        """
        best, waited = float("-inf"), 0
        for record in self._scores.history:
            waited += 1
            if record[self.monitor] > best:
                best, waited = record[self.monitor], 0
        return of_first(waited)
