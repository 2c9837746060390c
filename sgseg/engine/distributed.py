"""Decisions that several processes take together: stopping, errors, buffers, counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    broadcast,
    get_world_size,
    is_distributed,
)
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..registry import HOOKS

_SHARED_ERRORS = (FloatingPointError, ValueError, OSError, RuntimeError)
"""Errors that every process raises as what they are; others become RuntimeError."""


def unwrapped(model: Any) -> Any:
    """The segmentor inside the wrapper of a run of several processes, or ``model`` itself."""
    return model.module if is_model_wrapper(model) else model


def largest(*values: int) -> list[int]:
    """The largest over all processes of each value; every process has to ask."""
    maxima = torch.tensor(values)
    all_reduce(maxima, "max")
    return [int(value) for value in maxima]


def of_first(value: int) -> int:
    """What rank 0 says, on every process."""
    shared = torch.tensor([value])
    broadcast(shared, src=0)
    return int(shared)


def mean_of_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Each value's mean over all processes, equal on all of them to the last bit.

    Args:
        values: under the same names on every process, which all have to ask.
    """
    names = sorted(values)
    means = torch.tensor([values[name] for name in names], dtype=torch.float64)
    if names:
        all_reduce(means, "mean")
    return dict(zip(names, means.tolist(), strict=True))


@contextmanager
def failing_together() -> Iterator[None]:
    """Raise an error of one process on all, with the number of that process.

    Else the others would wait, at the next sum over all of them, for one that has left. Every
    process enters the block, and none talks to another in it.
    """
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    if get_world_size() == 1:
        if own is not None:
            raise own
        return
    if largest(own is not None)[0]:
        kind = next((kind for kind in _SHARED_ERRORS if isinstance(own, kind)), RuntimeError)
        text = str(own) if isinstance(own, _SHARED_ERRORS) else repr(own)
        everyone = all_gather_object(None if own is None else (kind, text))
        rank, (kind, text) = next((n, error) for n, error in enumerate(everyone) if error)
        raise kind(f"Rank {rank} of {len(everyone)}: {text}") from own


@contextmanager
def saving_together(runner: Runner) -> Iterator[None]:
    """Around a checkpoint: what forbids to save it, or fails, ends all processes alike.

    Hooks with a method ``before_saving(runner)`` are asked on every process first; mmengine's
    ``before_save_checkpoint`` is called on the one that writes.
    """
    runner.call_hook("before_saving")
    with failing_together():
        yield


class SharedStopHook(Hook):
    """Let a hook that ends the training on one process end it on all.

    Whatever sets ``runner.train_loop.stop_training``, at an epoch's end or after its evaluation:
    else the other processes would go on, and wait for the one that left until their timeout.
    Registered after all hooks of the config: mmengine's early stopping is among the last too.
    """

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Agree whether a run that goes on had stopped already."""
        self._agree(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Agree after the training of an epoch."""
        self._agree(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Agree after its evaluation."""
        self._agree(runner)

    @staticmethod
    def _agree(runner: Runner) -> None:
        loop: Any = runner.train_loop
        if hasattr(loop, "stop_training"):  # not built in an evaluation alone
            loop.stop_training = bool(largest(loop.stop_training)[0])


@HOOKS.register_module()
class EqualBuffersHook(Hook):
    """Give all ranks the running statistics of rank 0 around an epoch and an evaluation.

    Without synchronised normalisation each rank has its own; a score would then mix several
    models, the checkpoint, which holds rank 0's, would not repeat it, and a backbone that is
    frozen from here on would differ between the ranks.
    """

    priority = "HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        """Broadcast every buffer."""
        if is_distributed():
            for buffer in runner.model.buffers():
                broadcast(buffer, src=0)

    # After an epoch too, for the scores without labels and whatever else reads the model there.
    after_train_epoch = before_val_epoch = before_train_epoch
