"""Runs in parallel processes, one for each slot, that neither outlive nor collide."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sgseg

from .runs import BUSY, Run

Slot = Mapping[str, str]
"""Environment variables of a place to run at, for example one GPU."""

_POLL = 0.1
_RETRY = 2.0
_PATIENCE = 20.0


def make_slots(jobs: int | None = None, gpus: Sequence[str] = ()) -> list[Slot]:
    """Places to run at: ``jobs`` processes over the GPUs in turn, or over the cores.

    Args:
        jobs: processes at a time; default one a GPU, or one.
        gpus: their numbers, as CUDA counts them.

    Raises:
        ValueError: if ``jobs`` is below 1.
    """
    jobs = (len(gpus) or 1) if jobs is None else jobs
    if jobs < 1:
        raise ValueError(f"--jobs {jobs}: must be >= 1")
    # Processes that all use every core slow each other down; a given number stands.
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // jobs))
    slots: list[Slot] = []
    for number in range(jobs):
        device = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        slots.append({"OMP_NUM_THREADS": threads} | device)
    return slots


def run_all(
    runs: Sequence[Run],
    slots: Sequence[Slot],
    say: Callable[[str], None],
    finished: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Finish runs, as many at a time as there are slots.

    A run that another process is at is waited for. Ctrl-C and SIGTERM end the workers, which
    leave whole files behind; the workers end by themselves when this process is killed.

    Args:
        runs: unfinished ones, in the order to start them.
        slots: from :func:`make_slots`.
        say: where the progress goes.
        finished: called after each run that succeeded.

    Returns:
        Those that failed.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the workers are gone.
    """
    waiting = deque((0.0, run) for run in runs)
    free, failed = list(slots), []
    active: dict[subprocess.Popen[bytes], tuple[Run, Slot]] = {}
    with _signals() as received:
        try:
            while waiting or active:
                if received:
                    raise KeyboardInterrupt
                while free and waiting and waiting[0][0] <= time.monotonic():
                    run, slot = waiting.popleft()[1], free.pop()
                    active[_start(run, slot)] = (run, slot)
                for process in [p for p in active if p.poll() is not None]:
                    run, slot = active.pop(process)
                    free.append(slot)
                    if process.returncode == BUSY:
                        say(f"{_name(run)}: another process is at it, waiting")
                        waiting.append((time.monotonic() + _RETRY, run))
                    elif process.returncode:
                        failed.append(run)
                        say(f"{_name(run)}: FAILED ({process.returncode}). {_last_words(run)}")
                    else:
                        say(f"{_name(run)}: done, {len(waiting) + len(active)} to go")
                        finished(run)
                time.sleep(_POLL)
        finally:
            _end(list(active))
    return failed


def _start(run: Run, slot: Slot) -> subprocess.Popen[bytes]:
    run.folder.mkdir(parents=True, exist_ok=True)
    here = str(Path(sgseg.__file__).parents[1])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "sgseg.comparison.worker", str(run.row_folder), str(run.seed)]
    with (run.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # this program, with our own arguments
            command,
            stdin=subprocess.PIPE,  # closes with this process; the worker sees that
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path} | dict(slot),
            start_new_session=True,  # Ctrl-C of the terminal reaches this process alone
        )


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + _PATIENCE
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying of them."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _name(run: Run) -> str:
    return f"{run.row_folder.name}/seed_{run.seed}"


def _last_words(run: Run) -> str:
    log = run.folder / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'It said nothing'} (see {log})"
