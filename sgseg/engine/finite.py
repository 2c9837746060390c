"""A run whose loss is no number any more stops and says at which step and which term it was."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ..registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first step with a loss term that is nan or infinite.

    Looked at in front of every checkpoint too: those on disk are of the finite run. Diagnostics
    may be nan.

    Args:
        interval: steps between two looks; default 1 on a CPU and 20 on a GPU, where each look
            waits for it.

    Raises:
        FloatingPointError: naming epoch, step and every term with its value.
    """

    # Behind the log (BELOW_NORMAL), which then holds the step; in front of checkpoints (VERY_LOW).
    priority = "LOW"

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._steps: list[tuple[str, dict[str, Tensor]]] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Note the terms of the step, and look at them if it is time."""
        terms = {k: torch.as_tensor(v).float().mean() for k, v in (outputs or {}).items()}
        terms = {name: term for name, term in terms.items() if "loss" in name}
        if terms:
            self._steps.append((f"Step {runner.iter + 1} (epoch {runner.epoch + 1})", terms))
            on_cpu = next(iter(terms.values())).device.type == "cpu"
            if len(self._steps) >= (self.interval or (1 if on_cpu else 20)):
                self._look()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save nothing that a broken step is behind."""
        self._look()

    def _look(self) -> None:
        steps, self._steps = self._steps, []
        if not steps or bool(
            torch.stack([term for _, terms in steps for term in terms.values()]).isfinite().all()
        ):
            return
        step, terms = next(
            (step, terms) for step, terms in steps if not all(t.isfinite() for t in terms.values())
        )
        broken = [name for name, term in terms.items() if not term.isfinite()]
        raise FloatingPointError(
            f"{step}: {', '.join(broken)} not finite; "
            + ", ".join(f"{name} = {term.item():g}" for name, term in terms.items())
            + ". Nothing was saved since. Lower the learning rate of the part that this term "
            "trains, set optim_wrapper.clip_grad, or look at the images of this step"
        )
