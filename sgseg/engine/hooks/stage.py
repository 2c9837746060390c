"""Which part of the model trains in which epoch (Table 2; the two heads of IIC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS, is_a
from ..distributed import unwrapped


@HOOKS.register_module()
class TrainingStageHook(Hook):
    """Set ``model.stage`` from the epoch alone, so that a resumed run needs no memory of it.

    Table 2 of the paper: ``[(0, 'superpixel'), (10, 'segmentation')]`` is disjoint,
    ``[(0, 'joint')]`` end-to-end, ``[(0, 'superpixel'), (10, 'joint')]`` pre-training and then
    end-to-end.

    Args:
        stages: (first epoch, stage) pairs, the first from epoch 0, epochs ascending.

    Raises:
        ValueError: for a list that does not start at 0 or does not ascend.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, stages: Sequence[tuple[int, str]] = ((0, "joint"),)) -> None:
        starts = [int(start) for start, _ in stages]
        if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise ValueError(
                f"TrainingStageHook: stages = {list(stages)}; first epochs must start at 0 and "
                "ascend, for example [(0, 'superpixel'), (10, 'joint')]"
            )
        self.stages = [(int(start), stage) for start, stage in stages]

    def stage_at(self, epoch: int) -> str:
        """The stage of an epoch, counted from 0."""
        return [stage for start, stage in self.stages if start <= epoch][-1]

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage of this epoch."""
        if _enter(runner, self.stage_at(runner.epoch)) and torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next stage's activations have other sizes


@HOOKS.register_module()
class AlternatingStageHook(Hook):
    """Let stages take turns, one epoch each, from the epoch alone: the two heads of IIC.

    Args:
        stages: in the order of the epochs; after the last the first comes again.

    Raises:
        ValueError: for no stage at all.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, stages: Sequence[str] = ("auxiliary_head", "decode_head")) -> None:
        if not stages:
            raise ValueError("AlternatingStageHook: stages is empty; give one or more")
        self.stages = tuple(stages)

    def stage_at(self, epoch: int) -> str:
        """The stage of an epoch, counted from 0."""
        return self.stages[epoch % len(self.stages)]

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage of this epoch."""
        _enter(runner, self.stage_at(runner.epoch))


def _enter(runner: Runner, stage: str) -> bool:
    """Set the model's stage; whether it is another than before."""
    model = unwrapped(runner.model)
    if model.stage == stage and runner.iter > 0:
        return False
    runner.logger.info(f"Epoch {runner.epoch + 1}: training stage '{stage}'")
    model.stage = stage
    return True


def hook_of(config: Mapping[str, Any], kind: type[Hook]) -> Any:
    """The config of the hook of a class, in ``default_hooks`` or ``custom_hooks``; None without."""
    named = (config.get("default_hooks") or {}).values()
    hooks = (hook for hook in (*named, *(config.get("custom_hooks") or ())) if is_a(hook, kind))
    return next(hooks, None)


def turns_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Stages that a config's epochs take in turn (:class:`AlternatingStageHook`); none without."""
    hook = hook_of(config, AlternatingStageHook)
    return () if hook is None else AlternatingStageHook(*filter(None, [hook.get("stages")])).stages
