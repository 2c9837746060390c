"""Stop a run whose loss is not finite, naming the step and the term."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...registry import HOOKS
from ..distributed import failing_together, largest


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first step with a loss term that is nan or infinite.

    Looked at before every checkpoint too: those on disk are of the finite run. Diagnostics
    may be nan. Of several processes all stop, with what the one that saw it has to say.

    Args:
        interval: steps between two looks; default 1 on a CPU and 20 on a GPU, where each look
            waits for it.

    Raises:
        FloatingPointError: naming epoch, step and every term with its value.
    """

    # After the log (BELOW_NORMAL), which then holds the step; before checkpoints (VERY_LOW).
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

    def before_saving(self, runner: Runner) -> None:
        """Save no weights that a broken step of any process has made."""
        self._look()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Nor where one process saves without the others, by what it knows itself."""
        if (number := _first_broken(self._steps)) < len(self._steps):
            raise _error(*self._steps[number])

    def _look(self) -> None:
        steps, self._steps = self._steps, []
        # A broken loss breaks the weights of all processes: its own is the earliest step.
        number = -largest(-_first_broken(steps))[0]
        if number < len(steps):
            with failing_together():
                if _first_broken(steps) == number:
                    raise _error(*steps[number])


def _first_broken(steps: list[tuple[str, dict[str, Tensor]]]) -> int:
    """Place of the first step with a term that is not finite; their number if there is none."""
    if not steps or bool(
        torch.stack([term for _, terms in steps for term in terms.values()]).isfinite().all()
    ):
        return len(steps)
    broken = (not all(term.isfinite() for term in terms.values()) for _, terms in steps)
    return list(broken).index(True)


def _error(step: str, terms: dict[str, Tensor]) -> FloatingPointError:
    broken = [name for name, term in terms.items() if not term.isfinite()]
    return FloatingPointError(
        f"{step}: {', '.join(broken)} not finite; "
        + ", ".join(f"{name} = {term.item():g}" for name, term in terms.items())
        + ". Nothing was saved since. Lower the learning rate of the part that this term "
        "trains, set optim_wrapper.clip_grad, or look at the images of this step"
    )
