"""Commands of Slurm that do on this machine what submitit needs of them.

Each is a call of this file. A job is a folder below ``$CLUSTER``: ``script``, the number of its
``session`` of processes, and its ``state``. While there is a file ``$CLUSTER/full``, jobs stay
pending; with a file ``refused`` none is taken, for the reason in it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")
_OVER = ("CANCELLED", "COMPLETED", "FAILED")


def install(folder: Path) -> None:
    """Write the commands to ``folder/bin``."""
    (folder / "bin").mkdir()
    for name in COMMANDS:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} "$@"\n')
        path.chmod(0o755)


def state(job: Path) -> str:
    """Of a job, as sacct names it."""
    return (job / "state").read_text()


def _set(job: Path, to: str) -> None:
    (job / "new").write_text(to)
    os.replace(job / "new", job / "state")


def signal_job(job: Path, number: int) -> bool:
    """Send a signal to a job's processes; whether there are any."""
    try:
        os.killpg(int((job / "session").read_text()), number)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def _sbatch(cluster: Path, script: str) -> None:
    if (cluster / "refused").is_file():
        sys.exit(f"sbatch: error: {(cluster / 'refused').read_text()}")
    number = 1 + sum(1 for _ in cluster.glob("job_*"))
    job = cluster / f"job_{number}"
    job.mkdir()
    shutil.copy(script, job / "script")
    _set(job, "PENDING")
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = [sys.executable, "-S", __file__, "slurmd", job.name]
    subprocess.Popen(watch, start_new_session=True, **quiet)
    print(f"Submitted batch job {number}")


def _slurmd(cluster: Path, name: str) -> None:
    """Do a job when there is a place, and again as often as it was queued again."""
    job = cluster / name
    text = (job / "script").read_text()
    number = name.removeprefix("job_")
    output = re.search(r"^#SBATCH --output=(.+)$", text, re.M)[1].strip("'").replace("%j", number)
    ids = dict(SLURM_JOB_ID=number, SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1")
    ids |= dict(SLURM_NODEID="0", SLURM_PROCID="0", SLURM_LOCALID="0")
    while state(job) not in _OVER:
        if (cluster / "full").is_file():
            time.sleep(0.1)
            continue
        _set(job, "RUNNING")
        with open(output, "a") as log:
            batch = subprocess.Popen(
                ["bash", job / "script"],
                env=os.environ | ids,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            (job / "session").write_text(str(batch.pid))
            status = batch.wait()
        while signal_job(job, 0):  # a run that is still saving
            time.sleep(0.1)
        (job / "session").unlink()
        if (job / "cancelled").is_file():
            _set(job, "CANCELLED")
        elif state(job) == "RUNNING":
            _set(job, "FAILED" if status else "COMPLETED")


def _srun(cluster: Path, *arguments: str) -> None:
    words = list(arguments)
    while words[0].startswith("--"):
        if words.pop(0) == "--output":
            words.pop(0)
    os.execvp(words[0], words)  # noqa: S606


def _sacct(cluster: Path, *arguments: str) -> None:
    print("JobID|State|NodeList")
    for job in cluster.glob("job_*"):
        print(f"{job.name.removeprefix('job_')}|{state(job)}|here")


def _scancel(cluster: Path, number: str) -> None:
    job = cluster / f"job_{number}"
    if state(job) not in _OVER:
        (job / "cancelled").touch()
        if not signal_job(job, signal.SIGTERM):
            _set(job, "CANCELLED")


def _scontrol(cluster: Path, command: str, number: str) -> None:
    assert command == "requeue"
    _set(cluster / f"job_{number}", "PENDING")


if __name__ == "__main__":
    globals()[f"_{sys.argv[1]}"](Path(os.environ["CLUSTER"]), *sys.argv[2:])
