"""Log lines whose numbers were all computed since the line before them."""

from __future__ import annotations

import datetime
from typing import Any

from mmengine.device import is_cuda_available
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import LogProcessor, Runner

from ..registry import LOG_PROCESSORS

RATE, MEMORY = "lr", "peak_memory_mib"
_KEPT = 100_000
"""Steps of each scalar that stay in memory and go into checkpoints; no one looks further back."""


@LOG_PROCESSORS.register_module()
class WindowLogProcessor(LogProcessor):
    """Format a line from what was computed since the last line, or since the epoch began.

    mmengine averages the last ``window_size`` values of every scalar that there ever was: the
    losses of a stage that is over stand in the lines of the next, and its steps in their means.
    Here a number is the mean over the steps since the line before it; learning rates and the peak
    of the memory are those of the last step. A scalar that was not computed is not in the line,
    and a line never reaches back over the beginning of its epoch, so it is of one stage.
    ``LateScalarsHook`` marks where epochs begin.

    The remaining time follows from this epoch's steps. Scores of an evaluation carry the epoch
    and the step after which it ran; one that has the name of a training scalar is called
    ``val/NAME`` in ``scalars.json`` and its like.
    """

    def __init__(self) -> None:
        super().__init__(num_digits=4)
        self._seen: dict[str, int] = {}

    def begin(self, hub: MessageHub, mode: str) -> None:
        """Leave what ``hub`` holds of ``mode`` (train, val, test) out of the next line."""
        for key, buffer in hub.log_scalars.items():
            if key.startswith(f"{mode}/"):
                values, counts = buffer.data
                if len(values) > _KEPT:
                    buffer = HistoryBuffer(values[-_KEPT:], counts[-_KEPT:], buffer.max_length)
                    hub.log_scalars[key] = buffer
                self._seen[key] = len(buffer.data[0])

    def get_log_after_iter(
        self, runner: Runner, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Values by name, and the line of text."""
        if mode != "train":
            return super().get_log_after_iter(runner, batch_idx, mode)
        values = self._collect_scalars([], runner, mode)
        self.begin(runner.message_hub, mode)
        if is_cuda_available():
            values["memory"] = self._get_max_memory(runner)
        step = runner.iter + 1 - runner.message_hub.get_info("epoch_start", runner.iter - batch_idx)
        tag = values | dict(epoch=runner.epoch + 1, iter=runner.iter + 1)
        return tag, self._line(runner, batch_idx, step, values)

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict[str, Any], str]:
        """Scores by name, and the line of text."""
        tag, text = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        if mode != "val":
            return tag, text
        trained = runner.message_hub.log_scalars
        tag = {f"val/{k}" if f"train/{k}" in trained else k: value for k, value in tag.items()}
        return tag | dict(epoch=self._get_epoch(runner, mode), iter=runner.iter), text

    def _line(self, runner: Runner, batch_idx: int, step: int, values: dict[str, float]) -> str:
        steps = len(runner.train_dataloader)
        epoch = str(runner.epoch + 1).rjust(len(str(runner.max_epochs)))
        parts = [f"Epoch(train) [{epoch}][{str(step).rjust(len(str(steps)))}/{steps}]"]
        rates = [name for name in values if name.split("/")[0] == RATE]
        parts += [f"{name}: {values[name]:.{self.num_digits}e}" for name in rates]
        times = runner.message_hub.log_scalars.get("train/time")
        if times is not None:
            remaining = (runner.max_epochs - runner.epoch) * steps - step
            seconds = float(times.mean(batch_idx + 1)) * remaining
            parts.append(f"eta: {datetime.timedelta(seconds=int(seconds))}")
        for name, value in values.items():
            if name not in rates:
                text = str(value) if isinstance(value, int) else f"{value:.{self.num_digits}f}"
                parts.append(f"{name}: {text}")
        return "  ".join(parts)

    def _collect_scalars(
        self, custom_cfg: list[dict], runner: Runner, mode: str, reserve_prefix: bool = False
    ) -> dict[str, float]:
        """What was computed since :meth:`begin`, by name without ``mode``."""
        values = {}
        for key, buffer in runner.message_hub.log_scalars.items():
            new = len(buffer.data[0]) - self._seen.get(key, 0)
            if key.startswith(f"{mode}/") and new > 0:
                name = key if reserve_prefix else key.removeprefix(f"{mode}/")
                last = key.split("/")[1] in (RATE, MEMORY)
                values[name] = float(buffer.current() if last else buffer.mean(new))
        return values
