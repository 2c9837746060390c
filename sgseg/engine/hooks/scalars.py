"""Scalars of a step for the log: losses, fetched late from the GPU, and rates by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from ...registry import HOOKS
from ..log_lines import WindowLogProcessor
from ..rates import ActingRates
from .guard import CollapseGuardHook


@HOOKS.register_module()
class LateScalarsHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, without the wait for every scalar of every step.

    The values of all steps since the last reader come to the host in one copy; the history holds
    the same numbers in the same order. In place of ``lr``, the rate of the first parameter group,
    and ``base_lr``, the optimiser's default that no group need have, there is ``lr/NAME`` for each
    part (:class:`ActingRates`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._intervals: list[int] = []
        self._names: list[str] = []
        self._steps: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Learn how often the log and the guard ask."""
        super().before_train(runner)
        readers = [h for h in runner.hooks if isinstance(h, (LoggerHook, CollapseGuardHook))]
        self._intervals = [hook.interval for hook in readers]
        self._rates = ActingRates(runner.optim_wrapper)

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin a log line: another stage may train from here on."""
        super().before_train_epoch(runner)
        self._rates.forget()
        _begin_line(runner, "train")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the step's number."""
        runner.message_hub.update_info("iter", runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Remember a step's scalars; hand all on where somebody reads them."""
        # Before the schedulers: these are the rates that the step was made with.
        for name, rate in self._rates.read().items():
            runner.message_hub.update_scalar(f"train/{name}", rate)
        if outputs:
            if list(outputs) != self._names:  # another stage has other losses
                self._hand_on(runner)
                self._names = list(outputs)
            self._steps.append(torch.stack([v.detach().float() for v in outputs.values()]))
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if last or any(self.every_n_inner_iters(batch_idx, n) for n in self._intervals):
            self._hand_on(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Hand on the rest of an epoch that was resumed in its middle: it ends at another batch."""
        self._hand_on(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin a log line."""
        _begin_line(runner, "val")

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin a log line."""
        _begin_line(runner, "test")

    def _hand_on(self, runner: Runner) -> None:
        steps, self._steps = self._steps, []
        if steps:
            for values in torch.stack(steps).tolist():
                for name, value in zip(self._names, values, strict=True):
                    runner.message_hub.update_scalar(f"train/{name}", value)


def _begin_line(runner: Runner, mode: str) -> None:
    if isinstance(runner.log_processor, WindowLogProcessor):
        runner.log_processor.begin(runner.message_hub, mode)
