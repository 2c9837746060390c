"""A run whose loss is no number any more stops at once and says which term it was."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss term that is nan or infinite.

    Behind the step that gave it, and in front of every checkpoint: those on disk are of the
    finite run. Diagnostics may be nan.

    Raises:
        FloatingPointError: naming epoch, step and every term with its value.
    """

    # Behind the log (BELOW_NORMAL), which then holds the step; in front of checkpoints (VERY_LOW).
    priority = "LOW"

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look at the terms of the step."""
        terms = {k: torch.as_tensor(v) for k, v in (outputs or {}).items() if "loss" in k}
        if not terms or bool(
            torch.stack([t.float().mean() for t in terms.values()]).isfinite().all()
        ):
            return
        broken = [name for name, term in terms.items() if not term.isfinite().all()]
        raise FloatingPointError(
            f"Step {runner.iter + 1} (epoch {runner.epoch + 1}): {', '.join(broken)} not finite; "
            + ", ".join(f"{name} = {term.float().mean().item():g}" for name, term in terms.items())
            + ". Nothing was saved since. Lower the learning rate of the part that this term "
            "trains, set optim_wrapper.clip_grad, or look at the images of this step"
        )
