"""Save a checkpoint and end when a training is interrupted (Ctrl-C, SIGTERM)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

from mmengine.dist import barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from .checkpoints.newest import save_between
from .distributed import largest

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AGREE_EVERY = 8
"""Steps between two agreements of several ranks; each waits for the GPU."""
_WORKER_PATIENCE = 30
"""Seconds that a loader's worker outlives a SIGTERM, for the step that needs its batch."""


class _LeaveHook(Hook):
    """Save and leave at the first step, or batch of an evaluation, after a signal."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.signal = 0

    def receive(self, number: int, frame: Any) -> None:
        """Note a signal; a second Ctrl-C does not wait."""
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Leave after an optimiser's step."""
        agree = get_world_size() > 1
        if agree and (runner.iter + 1) % _AGREE_EVERY:
            return
        number = largest(self.signal)[0] if agree else self.signal
        if number and runner.optim_wrapper.should_update():
            self._leave(runner, number)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Leave in the middle of an evaluation of training, to begin it anew on resuming."""
        # Several ranks have different numbers of batches: they leave after the evaluation.
        if self.signal and get_world_size() == 1 and runner.train_loop.epoch:
            self._leave(runner, self.signal, evaluation_due=True)

    def _leave(self, runner: Runner, number: int, evaluation_due: bool = False) -> None:
        name = signal.Signals(number).name
        runner.logger.warning(
            f"{name}: saving, then leaving. The same command with --resume goes on"
        )
        save_between(runner, evaluation_due=evaluation_due)
        barrier()  # no rank ends, and so ends the others, before the file is whole
        raise SystemExit(128 + number)


def _patient_worker(inner: Callable[[int], None] | None, over: Event, worker: int) -> None:
    """Start a loader's worker that lets a signal to all processes pass until training is over.

    ``timeout``, slurm and torchrun signal workers too; the training would end with theirs. Behind
    it Python itself ends its children by SIGTERM, and waits for them.
    """

    def receive(number: int, frame: Any) -> None:
        if over.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        else:
            signal.alarm(_WORKER_PATIENCE)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, receive)
    if inner is not None:
        inner(worker)


@contextmanager
def leaving_on_signals(runner: Runner) -> Iterator[None]:
    """End a training on SIGTERM or Ctrl-C with a checkpoint and SystemExit.

    The exit codes are 143 and 130. A second Ctrl-C ends it at once, with what was saved before.
    Outside the main thread, where Python takes no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = _LeaveHook()
    runner.register_hook(hook)
    loops = [runner.train_loop, runner.val_loop]
    over = []
    for loader in [loop.dataloader for loop in loops if loop is not None]:
        # Of the loader's own way to start processes: another's cannot be handed over.
        over.append((loader.multiprocessing_context or multiprocessing).Event())
        loader.worker_init_fn = partial(_patient_worker, loader.worker_init_fn, over[-1])
    before = {number: signal.signal(number, hook.receive) for number in _SIGNALS}
    try:
        yield
    finally:
        for event in over:
            event.set()
        for loop in loops:
            if loop is not None:
                # Workers that stay for the next pass would be ended by a signal when Python leaves,
                # which torch answers with a traceback after a training that went well.
                loop.dataloader._iterator = None
        for number, handler in before.items():
            signal.signal(number, handler)
