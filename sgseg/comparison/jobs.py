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
from ..io.signals import ctrl_c_stays_here, held_back
from .runs import Run
from .work import work

Cluster = Literal["local", "slurm"]

TRIES = 2
"""A run that died is tried again once; the second time it is reported."""
_POLL = 0.2
_POLL_SLURM = 2.0  # seconds; each asks the whole cluster's data base
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
            raise ValueError(f"--jobs {self.count}: must be >= 1; leave it out for the default")
        if not all(gpu.strip() for gpu in self.gpus):
            raise ValueError(f"--gpus {','.join(self.gpus)}: say numbers as 0,1, or leave it out")
        if self.gpus and self.cluster == "slurm":
            raise ValueError("--gpus names this machine's; on Slurm say --slurm gpus_per_node=1")
        if self.slurm and self.cluster != "slurm":
            given = " ".join(f"{key}={value}" for key, value in self.slurm.items())
            raise ValueError(f"--slurm {given} needs --cluster slurm; without both, runs are here")
        minutes = self.slurm.get("timeout_min", 1)
        if "time" in self.slurm or type(minutes) is not int or minutes < 1:
            key = "time" if "time" in self.slurm else "timeout_min"
            raise ValueError(
                f"--slurm {key}={self.slurm[key]}: give the time of a run in whole minutes, "
                "timeout_min=600 for ten hours"
            )
        if several := {"nodes", "tasks_per_node", "ntasks_per_node"} & self.slurm.keys():
            raise ValueError(
                f"--slurm {several.pop()}: a run is one process, on one GPU or none; leave it out"
            )

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
            ValueError: for a parameter that Slurm's executor does not know, or a value of another
                kind.
            RefusedError: if ``sbatch`` does not take the job.
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
        parameters: dict[str, Any] = dict(name="sgseg", stderr_to_stdout=True)
        parameters["timeout_min"] = 24 * 60 if self.cluster == "slurm" else _YEAR
        if cores := self.slurm.get("cpus_per_task"):
            # Since Slurm 22.05 the srun in submitit's script has one core unless it is told too.
            parameters["slurm_srun_args"] = [f"--cpus-per-task={cores}"]
        parameters |= {f"slurm_{key}": value for key, value in self.slurm.items()}
        try:
            executor.update_parameters(**parameters)
        except (NameError, TypeError, ValueError) as error:
            # The lines after it are of other clusters.
            raise ValueError(f"--slurm: {str(error).splitlines()[0]}") from error
        if self.cluster == "local":
            with ctrl_c_stays_here():  # this process tells the jobs by stop()
                return executor.submit(_Job(self.track), run)
        try:
            return executor.submit(_Job(self.track), run)
        except submitit.core.utils.FailedJobError as error:
            raise RefusedError(
                f"--cluster slurm: sbatch refused {run}: {error} Change --slurm, or let fewer wait "
                "at a time by --jobs"
            ) from error

    def queued(self, runs: Sequence[Run]) -> dict[Run, Any]:
        """submitit's jobs of runs that an earlier or another command left in Slurm's queue.

        Here a process has the run's lock from its start on; a job that still waits has none.
        """
        if self.cluster != "slurm":
            return {}
        from submitit.slurm.slurm import SlurmJob

        left: dict[Run, Any] = {}
        for run in runs:
            scripts = (run.folder / "jobs").glob("*_submission.sh")  # which jobs of here have not
            if numbers := [int(path.name.partition("_")[0]) for path in scripts]:
                left[run] = SlurmJob(run.folder / "jobs", str(max(numbers)))
        # Slurm forgets jobs after a while.
        return {run: job for run, job in left.items() if not job.done() and job.state != "UNKNOWN"}

    def stop(self, jobs: Sequence[Any], patience: float = 20.0) -> None:
        """Let jobs save and leave; wait for it, so many seconds."""
        with held_back():  # a second Ctrl-C ends the waiting, not this
            alive = [job for job in jobs if not job.done()]
            for job in alive:
                if self.cluster == "slurm":
                    job.cancel(check=False)
                else:  # submitit's cancel() leaves a run one second for the step it is in
                    os.kill(int(job.job_id), signal.SIGTERM)
        until = time.monotonic() + patience
        while alive and time.monotonic() < until:
            time.sleep(_POLL if self.cluster == "local" else _POLL_SLURM)
            if self.cluster == "slurm":
                alive[0].watcher.update()  # which asks of itself every ten minutes only
            alive = [job for job in alive if not job.done()]

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


class RefusedError(ValueError):
    """Slurm does not take a job."""


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
        RefusedError: if Slurm takes no job at all.
    """
    slots, waiting, failed = jobs.slots(len(runs)), list(runs), []
    active: dict[Run, tuple[Any, str | None]] = {}
    tries: Counter[Run] = Counter()
    queued = jobs.queued(waiting)

    def is_free(run: Run) -> bool:
        return not run.is_busy() and (run not in queued or queued[run].done())

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while waiting or active:
            while slots and (run := next(filter(is_free, waiting), None)):
                waiting.remove(run)
                if run.result() is None:
                    try:
                        with held_back():  # until it is known, to be stopped
                            active[run] = (jobs.submit(run, slots[0]), slots[0])
                        slots.pop(0)
                    except RefusedError as error:
                        if not active:
                            raise
                        say(f"{error}. It waits for one of {len(active)} to end")
                        waiting.insert(0, run)
                        slots.clear()
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
