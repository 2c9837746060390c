"""What tests of tables share."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from submitit.slurm.slurm import SlurmJob

from tests.comparison import slurm


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm on this machine; jobs that a failed test leaves are ended."""
    slurm.install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    SlurmJob.watcher._registered.clear()  # numbers begin anew
    SlurmJob.watcher.clear()
    yield tmp_path
    for job in tmp_path.glob("job_*"):
        subprocess.call(["scancel", job.name.removeprefix("job_")])
