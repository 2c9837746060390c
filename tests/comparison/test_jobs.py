"""Where the runs of a table are done: the processes of this machine, and a cluster."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from submitit.core.utils import DelayedSubmission
from submitit.slurm.slurm import SlurmJob

from sgseg.cli import main, tables
from sgseg.comparison import jobs as module
from sgseg.comparison.jobs import Jobs, run_all
from sgseg.comparison.runs import Run
from sgseg.io.jsonfile import write_json
from sgseg.io.progress import usable_cores
from tests.comparison import slurm


def variables(jobs: Jobs, gpu: str | None = None) -> dict[str, str]:
    """What a job's environment has besides this process's."""
    return dict(word.split("=", 1) for word in jobs.interpreter(gpu) if "=" in word)


def test_processes_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One a GPU, GPUs in turn; cores are shared out unless their number is given."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Jobs(count=3, gpus=["0", "1"]).slots(9) == ["0", "1", "0"]
    assert Jobs(gpus=["4", "5"]).slots(9) == ["4", "5"] and Jobs().slots(9) == [None]
    assert variables(Jobs(), "4")["CUDA_VISIBLE_DEVICES"] == "4"
    assert "-u CUDA_VISIBLE_DEVICES" in " ".join(Jobs().interpreter())
    assert variables(Jobs())["OMP_NUM_THREADS"] == str(usable_cores())
    assert variables(Jobs(count=999))["OMP_NUM_THREADS"] == "1"
    monkeypatch.setattr(sys, "path", ["", "/no/such"])  # of `python -m`: the current folder
    assert variables(Jobs())["PYTHONPATH"] == os.getcwd()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-7")
    assert (
        variables(Jobs(count=999)).items()
        >= dict(OMP_NUM_THREADS="3", CUDA_VISIBLE_DEVICES="MIG-7").items()
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(count=0), "--jobs 0: must be >= 1"),
        (dict(cluster="lsf"), "--cluster lsf: choose local, slurm"),
        (dict(gpus=["0", ""]), "--gpus 0,: say numbers as 0,1"),
        (dict(cluster="slurm", gpus=["0"]), "--slurm gpus_per_node=1"),
        (dict(slurm=dict(partition="gpu")), "--slurm partition=gpu needs --cluster slurm"),
        (dict(cluster="slurm", slurm=dict(time="1-0")), "--slurm time=1-0: .*timeout_min=600"),
        (dict(cluster="slurm", slurm=dict(timeout_min=0)), "whole minutes"),
        (dict(cluster="slurm", slurm=dict(nodes=2)), "--slurm nodes: a run is one process"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], said: str) -> None:
    """The error says which arguments, and what to give."""
    with pytest.raises(ValueError, match=said):
        Jobs(**given)


def test_gpus_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs would take as long as without, unsaid."""
    monkeypatch.setattr(tables, "_has_gpu", lambda: False)
    with pytest.raises(SystemExit):
        main(["tables", "table3", "--gpus", "0"])
    assert "--gpus: torch sees no GPU here; leave it out" in capsys.readouterr().err


def test_without_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the command that installs it."""
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sgseg\[scale\]'"):
        run_all([Run(tmp_path, 0)], Jobs(), print)


class Act(module._Job):
    """A job that does in place of a run what its seed says; each folder counts its tries."""

    def __call__(self, run: Run) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tries = len(list((run.folder / "jobs").glob("try_*")))
        (run.folder / "jobs" / f"try_{tries}").touch()
        kind = KINDS[run.seed]
        if kind == "dies" or (kind == "dies once" and not tries):
            print(f"try {tries}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "long" or (kind == "out of time" and not tries):
            time.sleep(600)
        write_json(run.folder / "result.json", {})


KINDS = ("ends", "dies once", "dies", "long", "out of time")


def runs_of(folder: Path, *kinds: str) -> list[Run]:
    """Runs of these kinds."""
    return [Run(folder / "row", KINDS.index(kind)) for kind in kinds]


def states(cluster: Path) -> list[str]:
    """Of all jobs, oldest first, as Slurm has them."""
    count = len(list(cluster.glob("job_*")))
    return [slurm.state(cluster / f"job_{number}") for number in range(1, count + 1)]


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are :class:`Act`; sacct is asked often."""
    monkeypatch.setattr(module, "_Job", Act)
    monkeypatch.setattr(SlurmJob.watcher, "_delay_s", 0.5)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def later(condition: Callable[[], bool], act: Callable[[], Any]) -> None:
    """Do something as soon as a condition holds, while this process goes on."""

    def wait() -> None:
        until(condition)
        act()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_runs_on_slurm(cluster: Path) -> None:
    """All are queued at once; one that dies is queued again once, then reported."""
    given = dict(partition="gpu", gpus_per_node=1, timeout_min=90, cpus_per_task=2, mem_gb=16)
    jobs = Jobs("slurm", slurm=given)
    assert jobs.slots(50) == [None] * 50
    ends, once, dies = runs_of(cluster, "ends", "dies once", "dies")
    said: list[str] = []
    assert run_all([ends, once, dies], jobs, said.append) == [dies]
    assert ends.result() is not None and once.result() is not None
    until(lambda: sorted(states(cluster)) == ["COMPLETED", "COMPLETED", *["FAILED"] * 3])
    (failed,) = [text for text in said if "FAILED" in text]
    assert failed.startswith(f"{dies}: FAILED. ") and "_0_log.out)" in failed
    assert sum("died, tried again" in text for text in said) == 2
    script = (cluster / "job_1" / "script").read_text()
    lines = ("partition=gpu", "gpus-per-node=1", "time=90", "mem=16GB", "job-name=sgseg")
    for line in lines:
        assert f"#SBATCH --{line}\n" in script
    assert re.search("^srun .*--cpus-per-task=2 env PYTHONPATH", script, re.M)


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_a_run_here_that_is_killed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with its log's last line and place; the other is done."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    dies, ends = runs_of(tmp_path, "dies", "ends")
    said: list[str] = []
    assert run_all([dies, ends], Jobs(), said.append) == [dies]
    assert f"{ends}: done, 1 to go" in said
    assert re.fullmatch(rf"{dies}: FAILED. try 1 \(see .+/jobs/\d+_0_log.out\)", said[-1])


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_ctrl_c_empties_the_queue(cluster: Path) -> None:
    """Jobs that run and jobs that wait for a place are cancelled, and their end is waited for."""
    slow, waits = runs_of(cluster, "long", "ends")
    begun = cluster / "row" / "seed_3" / "jobs" / "try_0"

    ctrl_c = partial(os.kill, os.getpid(), signal.SIGINT)
    jobs = Jobs("slurm")
    submit = jobs.submit

    def one_by_one(run: Run, gpu: str | None = None) -> Any:
        job = submit(run, gpu)
        if run == slow:
            until(begun.exists)
            (cluster / "full").touch()
            later(lambda: states(cluster)[1:] == ["PENDING"], ctrl_c)
        return job

    object.__setattr__(jobs, "submit", one_by_one)
    # A shell's background job, as this test may be one, ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all([slow, waits], jobs, print)
    finally:
        signal.signal(signal.SIGINT, before)
    assert states(cluster) == ["CANCELLED", "CANCELLED"]
    assert waits.result() is None


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_a_job_out_of_time_is_queued_again_by_slurm(cluster: Path) -> None:
    """The signal before the end of the time: the same job begins anew, and is not counted dead."""
    (run,) = runs_of(cluster, "out of time")
    begun = run.folder / "jobs" / "try_0"
    later(begun.exists, lambda: slurm.signal_job(cluster / "job_1", signal.SIGUSR2))
    said: list[str] = []
    jobs = Jobs("slurm", slurm=dict(timeout_min=1))
    assert run_all([run], jobs, said.append) == []
    assert said == [f"{run}: done, 0 to go"]
    # Of three times that a run may be queued again, two are left.
    (submitted,) = begun.parent.glob("*_submitted.pkl")
    assert DelayedSubmission.load(submitted)._timeout_countdown == 2
    until(lambda: states(cluster) == ["COMPLETED"])
    assert len(list(begun.parent.glob("try_*"))) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_jobs_that_a_killed_command_left_in_the_queue(cluster: Path) -> None:
    """The next call waits for them and queues none twice; Ctrl-C leaves them."""
    (cluster / "full").touch()
    (run,) = runs_of(cluster, "ends")
    assert Jobs("slurm").submit(run).job_id == "1"
    assert set(Jobs("slurm").queued([run])) == {run} and Jobs().queued([run]) == {}
    later(lambda: True, (cluster / "full").unlink)
    said: list[str] = []
    assert run_all([run], Jobs("slurm"), said.append) == []
    assert said == [f"{run}: done elsewhere"]
    until(lambda: states(cluster) == ["COMPLETED"])
    assert Jobs("slurm").queued([run]) == {}


@pytest.mark.slow
@pytest.mark.usefixtures("acts")
def test_a_full_queue_is_waited_for(cluster: Path) -> None:
    """Where a user may queue one job, the next is queued when it is over."""
    first, second = runs_of(cluster, "long", "ends")
    message = "Batch job submission failed: Job violates accounting/QOS policy"
    jobs, said = Jobs("slurm"), []

    def allow() -> None:
        (cluster / "refused").unlink()
        write_json(first.folder / "result.json", {})
        subprocess.call(["scancel", "1"])

    later(lambda: (cluster / "job_1").exists(), lambda: (cluster / "refused").write_text(message))
    later(lambda: any("waits for one of 1" in text for text in said), allow)
    submit = jobs.submit

    def one_by_one(run: Run, gpu: str | None = None) -> Any:
        job = submit(run, gpu)
        if run == first:
            until((cluster / "refused").exists)
        return job

    object.__setattr__(jobs, "submit", one_by_one)
    assert run_all([first, second], jobs, said.append) == []
    assert message in said[0] and said[-1] == f"{second}: done, 0 to go"


def test_a_job_that_slurm_refuses(cluster: Path) -> None:
    """What sbatch said, and what to change."""
    (cluster / "refused").write_text("invalid partition specified: gqu")
    jobs = Jobs("slurm", slurm=dict(partition="gqu"))
    with pytest.raises(ValueError, match=r"sbatch refused row/seed_0: .*gqu Change --slurm"):
        run_all(runs_of(cluster, "ends"), jobs, print)
    assert states(cluster) == []


def test_a_value_of_another_kind(cluster: Path) -> None:
    """Is named before anything is queued."""
    with pytest.raises(ValueError, match="--slurm: .*lots"):
        run_all(runs_of(cluster, "ends"), Jobs("slurm", slurm=dict(mem_gb="lots")), print)


def test_an_unknown_parameter_of_slurm_is_named(cluster: Path) -> None:
    """Together with those that there are."""
    jobs = Jobs("slurm", slurm=dict(partitoin="gpu"))
    with pytest.raises(ValueError, match=r"--slurm: Unknown argument 'partitoin'.*partition"):
        run_all([Run(cluster, 0)], jobs, print)


def test_a_job_out_of_time_is_queued_again(tmp_path: Path) -> None:
    """Slurm's signal before the end of the time gives the same job once more."""
    job, run = module._Job(), Run(tmp_path, 3)
    again = job.checkpoint(run)
    assert again.function is job and again.args == (run,)
