"""Losses for the log, fetched from the GPU when a log line needs them and not at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from ..registry import HOOKS


@HOOKS.register_module()
class LateScalarsHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, without the wait for every scalar of every step.

    The values of all steps since the last log line come to the host in one copy; the history holds
    the same numbers in the same order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._interval = 1
        self._names: list[str] = []
        self._steps: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Learn how often the log asks."""
        super().before_train(runner)
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = loggers[0].interval if loggers else 1

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Remember a step's scalars; hand all on where a log line follows."""
        if outputs:
            if list(outputs) != self._names:  # another stage has other losses
                self._hand_on(runner)
                self._names = list(outputs)
            self._steps.append(torch.stack([v.detach().float() for v in outputs.values()]))
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if last or self.every_n_inner_iters(batch_idx, self._interval):
            self._hand_on(runner)

    def _hand_on(self, runner: Runner) -> None:
        steps, self._steps = self._steps, []
        if steps:
            for values in torch.stack(steps).tolist():
                for name, value in zip(self._names, values, strict=True):
                    runner.message_hub.update_scalar(f"train/{name}", value)
