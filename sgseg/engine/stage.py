"""Which part of the model trains in which epoch (Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class TrainingStageHook(Hook):
    """Set ``model.stage`` from the epoch alone, so that a resumed run needs no memory of it.

    Table 2 of the paper: ``[(0, 'superpixel'), (10, 'segmentation')]`` is disjoint,
    ``[(0, 'joint')]`` end-to-end, ``[(0, 'superpixel'), (10, 'joint')]`` pre-training and then
    end-to-end. IIC's two heads take turns: ``[(0, 'auxiliary_head'), (1, 'decode_head')]`` with
    ``period=2``.

    Args:
        stages: (first epoch, stage) pairs, the first from epoch 0, epochs ascending.
        period: epochs after which the stages start anew; None for never.

    Raises:
        ValueError: for a list that does not start at 0 or does not ascend, or a stage that
            begins behind the period.
    """

    priority = "ABOVE_NORMAL"

    def __init__(
        self, stages: Sequence[tuple[int, str]] = ((0, "joint"),), period: int | None = None
    ) -> None:
        starts = [int(start) for start, _ in stages]
        if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise ValueError(
                f"TrainingStageHook: stages = {list(stages)}; first epochs must start at 0 and "
                "ascend, for example [(0, 'superpixel'), (10, 'joint')]"
            )
        if period is not None and starts[-1] >= period:
            raise ValueError(
                f"TrainingStageHook: period = {period}, but a stage begins in epoch {starts[-1]}"
            )
        self.period = period
        self.stages = [(int(start), stage) for start, stage in stages]

    def stage_at(self, epoch: int) -> str:
        """The stage of an epoch, counted from 0."""
        if self.period is not None:
            epoch %= self.period
        return [stage for start, stage in self.stages if start <= epoch][-1]

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage of this epoch."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        stage = self.stage_at(runner.epoch)
        if model.stage == stage and runner.iter > 0:
            return
        runner.logger.info(f"Epoch {runner.epoch + 1}: training stage '{stage}'")
        model.stage = stage
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next stage's activations have other sizes
