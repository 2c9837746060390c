"""The result of every evaluation as a file, and its class table in every checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

import sgseg

from ..registry import HOOKS
from .atomic import write_atomically


def json_safe(value: Any) -> Any:
    """``value`` with nan and infinity as None, which every JSON reader takes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value


@HOOKS.register_module()
class EvaluationRecordHook(Hook):
    """Write ``eval.json`` and ``eval_history.jsonl``; store the class table in checkpoints.

    ``selected`` says which epoch the record is of: ``last`` always takes the newest; ``best``
    would take the one with the highest accuracy, which looks at the labels, so it stands apart
    under ``best`` as (epoch, accuracy) only.
    """

    # In front of the checkpoint hook (VERY_LOW), which saves what is recorded here.
    priority = "LOW"

    def __init__(self) -> None:
        self.record: dict[str, Any] | None = None
        self.best: dict[str, Any] | None = None

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record an evaluation during training."""
        self._update(runner, runner.val_evaluator, runner.epoch)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record an evaluation of a checkpoint."""
        self._update(runner, runner.test_evaluator, None)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the class table of the newest evaluation, and the best so far, into the file."""
        checkpoint["meta"]["sgseg_version"] = sgseg.__version__
        if self.record is not None:
            checkpoint["meta"]["evaluation"] = self.record
            checkpoint["meta"]["best"] = self.best

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the best epoch over a restart."""
        if runner._resume:
            self.record = checkpoint["meta"].get("evaluation")
            self.best = checkpoint["meta"].get("best")

    def _update(self, runner: Runner, evaluator: Evaluator, epoch: int | None) -> None:
        records = [metric.record for metric in evaluator.metrics if hasattr(metric, "record")]
        if not records:
            return
        record = json_safe(dict(records[0], epoch=epoch, selected="last"))
        accuracy = record["accuracy"]
        if epoch is not None:
            if accuracy is not None and (self.best is None or accuracy > self.best["accuracy"]):
                self.best = dict(epoch=epoch, accuracy=accuracy)
            record["best"] = self.best and dict(self.best, selected="with labels")
        self.record = record
        self._write(Path(runner.work_dir), record)

    @staticmethod
    @master_only
    def _write(work_dir: Path, record: dict[str, Any]) -> None:
        content = json.dumps(record, indent=1)
        write_atomically(work_dir / "eval.json", content.encode())
        line = {key: record[key] for key in ("epoch", "accuracy", "miou", "usage_entropy")}
        with (work_dir / "eval_history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
