"""Runs as jobs of submitit: so many at a time on this machine, or on a Slurm cluster."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..io.progress import usable_cores
from ..io.signals import ctrl_c_stays_here
from .runs import Run
from .work import work

Cluster = Literal["local", "slurm"]

TRIES = 2
"""A run that died is tried again once; the second time it is reported."""
_POLL = 0.2
_YEAR = 60 * 24 * 365  # in minutes; submitit's own limit on this machine is two


@dataclass(frozen=True)
class Jobs:
    """Where runs are done, and how many at a time.

    Args:
        cluster: this machine, or Slurm.
        count: runs at a time; default one a GPU of ``gpus``, else one; on Slurm all of them.
        gpus: numbers of this machine's GPUs that runs take in turn, as CUDA counts them.
        slurm: parameters of submitit's executor without their ``slurm_``: ``partition``,
            ``timeout_min``, ``gpus_per_node``, ``cpus_per_task`` ...
        track: trackers that every run reports to; a result does not depend on them.

    Raises:
        ValueError: for an unknown cluster, a count below 1, or what the cluster does not take.
    """

    cluster: Cluster = "local"
    count: int | None = None
    gpus: Sequence[str] = ()
    slurm: Mapping[str, Any] = field(default_factory=dict)
    track: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.cluster not in get_args(Cluster):
            raise ValueError(f"--cluster {self.cluster}: choose {', '.join(get_args(Cluster))}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"--jobs {self.count}: must be >= 1")
        if self.gpus and self.cluster == "slurm":
            raise ValueError("--gpus names this machine's; on Slurm say --slurm gpus_per_node=1")
        if self.slurm and self.cluster != "slurm":
            raise ValueError("--slurm goes with --cluster slurm")

    def slots(self, runs: int) -> list[str | None]:
        """The GPU of each run that may be done at a time; None: as CUDA chooses."""
        count = self.count or (runs if self.cluster == "slurm" else len(self.gpus) or 1)
        return [self.gpus[i % len(self.gpus)] if self.gpus else None for i in range(count)]

    def submit(self, run: Run, gpu: str | None = None) -> Any:
        """Begin a run; its log and submitit's files go to ``jobs/`` in its folder.

        Returns:
            submitit's job.

        Raises:
            ModuleNotFoundError: without submitit.
            ValueError: for a parameter that Slurm's executor does not know.
        """
        submitit = import_submitit()
        python = {f"{self.cluster}_python": shlex.join(self.interpreter(gpu))}
        try:
            executor = submitit.AutoExecutor(run.folder / "jobs", self.cluster, **python)
        except RuntimeError as error:
            raise ValueError(
                f"--cluster {self.cluster}: {error} Run where its commands are, or leave --cluster "
                "out to use this machine"
            ) from error
        minutes = 24 * 60 if self.cluster == "slurm" else _YEAR
        given = {f"slurm_{key}": value for key, value in self.slurm.items()}
        try:
            executor.update_parameters(
                **dict(name="sgseg", stderr_to_stdout=True, timeout_min=minutes) | given
            )
        except NameError as error:
            raise ValueError(f"--slurm: {error}") from error
        with ctrl_c_stays_here():  # this process tells the jobs by stop()
            return executor.submit(_Job(self.track), run)

    def stop(self, jobs: Sequence[Any], patience: float = 20.0) -> None:
        """Let jobs save and leave; wait for those of this machine, so many seconds."""
        for job in jobs:
            if self.cluster == "slurm":
                job.cancel(check=False)
            else:  # submitit's cancel() leaves a run one second for the step it is in
                os.kill(int(job.job_id), signal.SIGTERM)
        until = time.monotonic() + patience
        while not all(job.done() for job in jobs) and time.monotonic() < until:
            time.sleep(_POLL)

    def interpreter(self, gpu: str | None = None) -> list[str]:
        """This Python as a job starts it: the same modules, its share of the cores, its GPU."""
        # '' is the current folder, which `python -m` and an interactive Python look into.
        places = [os.path.abspath(place) for place in sys.path]
        path = f"PYTHONPATH={os.pathsep.join(filter(os.path.exists, places))}"
        if self.cluster == "slurm":  # which gives cores and GPUs itself
            return ["env", path, sys.executable]
        # Processes that all use every core slow each other down; a given number stands.
        share = max(1, usable_cores() // len(self.slots(1)))
        threads = f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS') or share}"
        gpu = gpu or os.environ.get("CUDA_VISIBLE_DEVICES")  # submitit hides all from its jobs
        device = ["-u", "CUDA_VISIBLE_DEVICES"] if gpu is None else [f"CUDA_VISIBLE_DEVICES={gpu}"]
        return ["env", *device, path, threads, sys.executable]


class _Job:
    """What submitit pickles and calls in the process of a run."""

    def __init__(self, track: Sequence[str] = ()) -> None:
        self.track = tuple(track)

    def __call__(self, run: Run) -> None:
        # submitit lets SIGTERM pass; a training saves and leaves on it, anything else ends.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work(run, self.track)

    def checkpoint(self, run: Run) -> Any:
        """The job that Slurm queues anew when the time is over, or others come first."""
        return import_submitit().helpers.DelayedSubmission(self, run)


def run_all(
    runs: Sequence[Run],
    jobs: Jobs,
    say: Callable[[str], None],
    finished: Callable[[], None] = lambda: None,
) -> list[Run]:
    """Finish runs, so many at a time as ``jobs`` says.

    A run that another process is at is waited for, while others are done. Ctrl-C and SIGTERM end
    the jobs, which leave whole files.

    Args:
        runs: unfinished ones, in the order to begin them.
        jobs: where.
        say: where the progress goes.
        finished: called after each run that succeeded.

    Returns:
        Those that failed, or died twice.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the jobs are gone.
        ModuleNotFoundError: without submitit.
    """
    slots, waiting, failed = jobs.slots(len(runs)), list(runs), []
    active: dict[Run, tuple[Any, str | None]] = {}
    tries: Counter[Run] = Counter()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while waiting or active:
            while slots and (run := next((r for r in waiting if not r.is_busy()), None)):
                waiting.remove(run)
                if run.result() is None:
                    slot = slots.pop(0)
                    active[run] = (jobs.submit(run, slot), slot)
                else:  # another process was at it
                    say(f"{run}: done elsewhere")
                    finished()
            time.sleep(_POLL)
            for run in [run for run, (job, _) in active.items() if job.done()]:
                job, slot = active.pop(run)
                slots.append(slot)
                tries[run] += 1
                if run.result() is not None:
                    say(f"{run}: done, {len(waiting) + len(active)} to go")
                    finished()
                elif tries[run] < TRIES:
                    say(f"{run}: died, tried again. {_last_line(job)}")
                    waiting.append(run)
                else:
                    say(f"{run}: FAILED. {_last_line(job)}")
                    failed.append(run)
    finally:
        jobs.stop([job for job, _ in active.values()])
        signal.signal(signal.SIGTERM, before)
    return failed


def import_submitit() -> Any:
    """The module.

    Raises:
        ModuleNotFoundError: saying how to install it.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The runs of a table are jobs of submitit, which is not installed: "
            "pip install 'sgseg[scale]'"
        ) from error
    return submitit


def _last_line(job: Any) -> str:
    log = job.paths.stdout
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return f"{(text.strip().splitlines() or ['It said nothing'])[-1]} (see {log})"
