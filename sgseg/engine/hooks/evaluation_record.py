"""The result of every evaluation as a file, and its class table in every checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process, master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

import sgseg

from ...io.atomic import write_atomically
from ...io.digest import weights_sha256
from ...io.jsonfile import json_safe, write_json
from ...registry import HOOKS
from ..checkpoints.loading import is_of_its_weights
from ..distributed import unwrapped
from .share_check import in_words, shares_told

HISTORY = "eval_history.jsonl"


def _is_up_to(line: str, epoch: int) -> bool:
    """Whether a line of the history is whole, and of this epoch or an earlier one."""
    try:
        recorded = json.loads(line)["epoch"]
    except json.JSONDecodeError:
        return False  # cut off by a kill
    return recorded is None or recorded <= epoch


@HOOKS.register_module()
class EvaluationRecordHook(Hook):
    """Write ``eval.json`` and ``eval_history.jsonl``; store the class table in checkpoints.

    A record says at which epoch and step it was derived, and goes into checkpoints of that step
    only: with others it would name clusters that have become others. One of ``sgseg test`` says
    which weights it is of.

    ``selected`` says which epoch the record is of: ``last`` always takes the newest; ``best``
    would take the one with the highest accuracy, which looks at the labels, so it stands apart
    under ``best`` as (epoch, accuracy) only. Images that training had to replace
    (``max_bad_images``) are listed in ``bad_images.json``, in ``eval.json`` and in checkpoints.
    """

    # Before the checkpoint hook (VERY_LOW), which saves what is recorded here.
    priority = "LOW"

    def __init__(self) -> None:
        self.record: dict[str, Any] | None = None
        self.best: dict[str, Any] | None = None
        self.bad_images: list[str] = []
        self._loaded: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Forget epochs after the checkpoint that a run goes on from: they are trained anew."""
        path = Path(runner.work_dir) / HISTORY
        if is_main_process() and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _is_up_to(line, runner.epoch)]
            write_atomically(path, "".join(kept).encode())

    def after_train_epoch(self, runner: Runner) -> None:
        """Gather what the workers of all ranks could not read."""
        unread = getattr(runner.train_dataloader.dataset, "bad_images", [])
        gathered = sorted({name for names in all_gather_object(unread) for name in names})
        new = set(gathered) - set(self.bad_images)
        if not new:
            return
        self.bad_images = sorted({*self.bad_images, *gathered})
        runner.logger.warning(
            f"{len(self.bad_images)} unreadable images were replaced in training: "
            + ", ".join(self.bad_images)
        )
        record = dict(count=len(self.bad_images), images=self.bad_images)
        if is_main_process():
            write_json(Path(runner.work_dir) / "bad_images.json", record)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record an evaluation during training."""
        at = dict(epoch=runner.epoch, iter=runner.iter)
        self._update(runner, runner.val_evaluator, at, training=True)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record an evaluation of a checkpoint."""
        self._update(runner, runner.test_evaluator, self._loaded)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the best score so far, and the class table of these very weights, into the file."""
        meta = checkpoint["meta"]
        meta["sgseg_version"] = sgseg.__version__
        meta["bad_images"] = self.bad_images
        meta["best"] = self.best
        if self.record is not None and is_of_its_weights(self.record, meta):
            meta["evaluation"] = self.record

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the best epoch over a restart, or which weights are tested."""
        meta = checkpoint.get("meta") or {}
        if not runner._resume:
            digest = weights_sha256(checkpoint["state_dict"])
            at = {key: meta[key] for key in ("epoch", "iter") if key in meta}
            self._loaded = dict(epoch=None) | at | dict(weights_sha256=digest)
            return
        record = meta.get("evaluation")
        self.record = record if record and is_of_its_weights(record, meta) else None
        self.best = meta.get("best")
        self.bad_images = list(meta.get("bad_images", []))

    def _update(
        self, runner: Runner, evaluator: Evaluator, at: dict[str, Any], training: bool = False
    ) -> None:
        records = [metric.record for metric in evaluator.metrics if hasattr(metric, "record")]
        if not records:
            return
        if (shares := shares_told(unwrapped(runner.model))) is not None:
            records[0].setdefault("protocol", {})["told"] = in_words(shares)
        record = json_safe(dict(records[0], **at, selected="last", bad_images=self.bad_images))
        accuracy, epoch = record["accuracy"], record.setdefault("epoch", None)
        if training:
            if accuracy is not None and (self.best is None or accuracy > self.best["accuracy"]):
                self.best = dict(epoch=epoch, accuracy=accuracy)
            record["best"] = self.best and dict(self.best, selected="with labels")
        self.record = record
        self._write(Path(runner.work_dir), record)

    @master_only
    def _write(self, work_dir: Path, record: dict[str, Any]) -> None:
        write_json(work_dir / "eval.json", record)
        line = {key: record[key] for key in ("epoch", "accuracy", "miou", "usage_entropy")}
        with (work_dir / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
