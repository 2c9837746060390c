"""Show how far a training is: a live bar, or a line an epoch where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ..console import RunConsole
from ..distributed import unwrapped

STAGES = dict(
    superpixel="superpixels",
    head="head",
    segmentation="head with node features",
    joint="all parts",
    auxiliary_head="auxiliary head",
    decode_head="head",
)
"""Stage -> what trains in it, for a person."""
_NUMBERS = ("live_superpixels", "mutual_information", "largest_class", "loss")
"""Scalars of the training that a person is shown."""


class ProgressHook(Hook):
    """Show epoch, stage, the numbers that matter and the time left.

    Registered by the main process around a training; entered, it closes its bar whatever ends the
    run. Scalars are read as they come for the log, so no step waits for a GPU.

    Args:
        console: of the run.
    """

    priority = "LOWEST"

    def __init__(self, console: RunConsole) -> None:
        self.console = console
        self.scores: dict[str, float] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[numbers]}"),
            console=console.console,
            disable=not console.live,
        )
        self._stage = ""
        self._marks: list[tuple[float, int]] = []
        self._epoch = -1
        self._seen: dict[str, int] = {}

    def __enter__(self) -> ProgressHook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def before_train(self, runner: Runner) -> None:
        """Begin the bar."""
        fields: dict[str, Any] = dict(left="", numbers="")
        self._bar.add_task("", total=runner.max_iters, completed=runner.iter, **fields)
        self._bar.start()

    def before_train_epoch(self, runner: Runner) -> None:
        """Finish the line of the epoch before, whose scores are all there now."""
        self._finish_line(runner)
        stage = getattr(unwrapped(runner.model), "stage", "")
        now = (time.monotonic(), runner.iter)
        # The pace is that of this stage, evaluations included: since the epoch before, or here.
        self._marks = [now] if stage != self._stage else [*self._marks[-1:], now]
        self._stage, self._epoch = stage, runner.epoch
        scalars = runner.message_hub.log_scalars
        self._seen = {
            name: len(scalars[f"train/{name}"].data[0]) if f"train/{name}" in scalars else 0
            for name in _NUMBERS
        }
        self._show(runner, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Move the bar."""
        self._show(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Take the scores."""
        self.scores.update(metrics or {})
        self._show(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Finish the last line, and take the bar away."""
        self._finish_line(runner)
        self._bar.stop()

    def _show(self, runner: Runner, step: int) -> None:
        if not self._bar.disable:
            self._bar.update(
                self._bar.task_ids[0],
                description=self._title(runner),
                completed=step,
                left=self._left(step, runner.max_iters),
                numbers=", ".join(self._numbers(runner)),
            )

    def _finish_line(self, runner: Runner) -> None:
        """A line of the epoch that is over, where no bar is shown."""
        if self._epoch < 0 or self.console.live or self.console.verbose:
            return
        numbers = ", ".join(self._numbers(runner))
        left = self._left(runner.iter, runner.max_iters)
        self.console.say("  ".join(filter(None, [self._title(runner), numbers, left])))
        self._epoch = -1

    def _title(self, runner: Runner) -> str:
        alone = self._stage == "segmentation" and not getattr(
            unwrapped(runner.model), "reads_nodes", True
        )
        stage = STAGES["head"] if alone else STAGES.get(self._stage, self._stage)
        named = f" {stage}" if stage else ""
        return f"Epoch {max(self._epoch, 0) + 1}/{runner.max_epochs}{named}"

    def _left(self, step: int, total: int) -> str:
        """The time that the steps to come take at the pace of the last two epochs."""
        since, first = self._marks[0]
        if step <= first or step >= total:
            return ""
        return f"{clock((time.monotonic() - since) / (step - first) * (total - step))} left"

    def _numbers(self, runner: Runner) -> list[str]:
        """The numbers that say whether a stage does well, with their units."""
        means = {}
        for name, seen in self._seen.items():
            buffer = runner.message_hub.log_scalars.get(f"train/{name}")
            if buffer is not None and len(buffer.data[0]) > seen:  # in this epoch
                means[name] = float(buffer.mean(len(buffer.data[0]) - seen))
        said = []
        if self._stage != "superpixel":
            if "mutual_information" in means:
                said.append(f"information {means['mutual_information']:.0%}")
            if "largest_class" in means:
                said.append(f"largest cluster {means['largest_class']:.0%} of the pixels")
        elif "live_superpixels" in means:
            count = unwrapped(runner.model).backbone.num_superpixels
            said.append(f"{means['live_superpixels']:.0f} of {count} superpixels in use")
        if not said and "loss" in means:
            said.append(f"loss {means['loss']:.3f}")
        if self.scores.get("accuracy") is not None:
            said.append(f"accuracy {self.scores['accuracy']:.1f} %")
        return said


def clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
