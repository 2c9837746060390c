"""Where the runs of a table are done: the processes of this machine, and a cluster."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from sgseg.comparison import jobs as module
from sgseg.comparison.jobs import Jobs, run_all
from sgseg.comparison.runs import Run
from sgseg.io.progress import usable_cores


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
        (dict(cluster="slurm", gpus=["0"]), "--slurm gpus_per_node=1"),
        (dict(slurm=dict(partition="gpu")), "--slurm goes with --cluster slurm"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], said: str) -> None:
    """The error says which arguments, and what to give."""
    with pytest.raises(ValueError, match=said):
        Jobs(**given)


def test_without_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the command that installs it."""
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sgseg\[scale\]'"):
        run_all([Run(tmp_path, 0)], Jobs(), print)


SLURM = {
    # Takes a job, runs it at once in the background, and keeps the script to be looked at.
    "sbatch": """
cp "${@: -1}" "$CLUSTER/script.sh"
SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
    bash "$CLUSTER/script.sh" >> "$CLUSTER/out.txt" 2>&1 &
echo "Submitted batch job 7"
""",
    "srun": """
while [[ "$1" == --* ]]; do [[ "$1" == --output ]] && shift; shift; done
exec "$@"
""",
    "sacct": "echo 'JobID|State|NodeList'; echo '7|RUNNING|here'",
    "scancel": "true",
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of Slurm that do what submitit needs of them, on this machine."""
    for name, text in SLURM.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    return tmp_path


def result_of_a_baseline(run: Run) -> None:
    """What a job does in these tests."""
    (run.folder / "result.json").write_text("{}")


@pytest.mark.slow
def test_runs_on_slurm(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are queued at once with the parameters given, and their results are waited for."""
    monkeypatch.setattr(module, "_Job", lambda track: result_of_a_baseline)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    jobs = Jobs("slurm", slurm=dict(partition="gpu", gpus_per_node=1, timeout_min=90))
    assert jobs.slots(50) == [None] * 50
    run, said = Run(cluster / "row", 0), []
    assert run_all([run], jobs, said.append) == [], (cluster / "out.txt").read_text()
    assert said == ["row/seed_0: done, 0 to go"]
    script = (cluster / "script.sh").read_text()
    for line in ("partition=gpu", "gpus-per-node=1", "time=90", "job-name=sgseg"):
        assert f"#SBATCH --{line}\n" in script


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
