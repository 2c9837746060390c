"""A rank that dies ends the job with its error; torchrun's restart goes on from the checkpoint.

Two machines are two calls of tools/dist_train.sh on this one, each with a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.training import build_config, train
from tests.conftest import ROOT
from tests.reliability.runs import assert_same_run, in_a_process, quick_config


def write_config(folder: Path, die_at: int, killed: bool = False) -> Path:
    """The quick config as a file, with a hook that ends rank 1."""
    config = quick_config(folder / "run", **{"train_dataloader.batch_size": 1})
    config.custom_imports = dict(imports=["tests.reliability.faults"])
    config.custom_hooks.append(dict(type="DyingRankHook", at=die_at, killed=killed))
    config.default_hooks.checkpoint.every_iters = 1
    config.dump(folder / "config.py")
    return folder / "config.py"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def torchrun(config: Path, restarts: int) -> subprocess.Popen[str]:
    """Two processes, as tools/dist_train.sh starts them."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command += [f"--max-restarts={restarts}", f"--master_port={free_port()}", "tools/train.py"]
    command += [str(config), "--work-dir", str(config.parent / "run"), "--launcher", "pytorch"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def rank_main(folder: str, rank: int, port: int) -> None:
    """One rank of a run that nothing disturbs, with the environment that torchrun would set."""
    torch.set_num_threads(1)
    place = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=2, MASTER_PORT=port)
    place |= dict(TORCHELASTIC_RESTART_COUNT=0, MASTER_ADDR="127.0.0.1")
    os.environ.update({key: str(value) for key, value in place.items()})
    whole = Path(folder) / "whole"
    train(build_config(Path(folder) / "config.py", work_dir=whole, launcher="pytorch"))


def assert_as_unbroken(folder: Path) -> None:
    """The run in ``folder`` ended as one of two processes on one machine, of which none dies."""
    write_config(folder, -1)
    port = free_port()
    pool = [in_a_process(rank_main, str(folder), rank, port) for rank in range(2)]
    for rank in pool:
        rank.join(120)
    assert [rank.exitcode for rank in pool] == [0, 0]
    found, expected = (load_checkpoint(folder / d / "epoch_3.pth") for d in ("run", "whole"))
    # The generators of rank 0 differ, with nothing of it in the weights: nothing drew from them.
    assert_same_run(found | dict(random=0), expected | dict(random=0))


@pytest.mark.slow
def test_restart_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    """Rank 1 dies in the middle of epoch 2: the job says so, restarts, and ends as unbroken."""
    process = torchrun(write_config(tmp_path, 6), 1)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out[-3000:]
    assert "planted on rank 1" in out
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["resumed_from"] == "epoch_1_iter_6.pth" and card["processes"] == 2
    assert_as_unbroken(tmp_path)


def machine(config: Path, rank: int, port: int, **more: str) -> subprocess.Popen[str]:
    """One of two machines with one process each, as a person would start it."""
    command = ["bash", "tools/dist_train.sh", str(config), "1"]
    command += ["--work-dir", str(config.parent / "run")]
    env = os.environ | dict(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT), NNODES="2")
    env |= dict(NODE_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)) | more
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed"])
def test_two_machines_train_as_one(tmp_path: Path, killed: bool) -> None:
    """Weights are those of one machine; where a process is killed, both start again and go on."""
    config, port = write_config(tmp_path, 6 if killed else -1, killed=True), free_port()
    more = dict(MAX_RESTARTS="1", LOCAL_ADDR="127.0.0.1") if killed else {}
    pair = [machine(config, rank, port, **more) for rank in range(2)]
    try:
        said = [process.communicate(timeout=300)[0] for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], "".join(o[-3000:] for o in said)
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["processes"] == 2 and card["ended"] == "finished"
    assert card["resumed_from"] == ("epoch_1_iter_6.pth" if killed else None)
    assert_as_unbroken(tmp_path)


def kill_with_children(process: subprocess.Popen[str]) -> None:
    """As a machine dies: the launcher and all that it started, at once."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}
    doomed = [process.pid]
    for pid in doomed:  # grows on the way
        doomed += [child for child, parent in parents.items() if parent == pid]
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_machine_leaves_and_another_joins(tmp_path: Path) -> None:
    """One is gone with its launcher: the other takes its images too, until a new one is there."""
    config = quick_config(tmp_path / "run", **{"train_dataloader.dataset.length": 300})
    config.total_batch_size = config.train_dataloader.pop("batch_size")
    config.custom_imports = dict(imports=["tests.reliability.faults"])
    config.custom_hooks.append(dict(type="PacedHook", journal=str(tmp_path / "journal")))
    config.default_hooks.checkpoint.every_iters = 5
    config.dump(tmp_path / "config.py")
    journal, port = tmp_path / "journal", free_port()
    more = dict(NNODES="1:2", MAX_RESTARTS="3", LOCAL_ADDR="127.0.0.1")

    def steps(processes: int, after: int = -1) -> list[int]:
        lines = journal.read_text().splitlines() if journal.exists() else []
        rows = [tuple(map(int, line.split())) for line in lines]
        assert {world * images for _, world, _, images in rows} <= {config.total_batch_size}
        return [step for _, world, step, _ in rows if world == processes and step > after]

    def until(processes: int, after: int) -> int:
        """Five steps later than ``after`` with so many processes; the last of them."""
        end = time.monotonic() + 300
        while not any(step >= after + 5 for step in steps(processes, after)):
            assert time.monotonic() < end and running[0].poll() is None, journal.read_text()
            time.sleep(0.2)
        return max(steps(processes, after))

    running = [machine(tmp_path / "config.py", rank, port, **more) for rank in range(2)]
    try:
        left_at = until(2, 0)
        kill_with_children(running[1])
        alone = until(1, left_at - 5)
        running.append(machine(tmp_path / "config.py", 1, port, **more))
        until(2, alone)
        journal.with_suffix(".fast").touch()
        said = [running[number].communicate(timeout=600)[0] for number in (0, 2)]
    finally:
        for process in running:
            kill_with_children(process)
    codes = [running[number].returncode for number in (0, 2)]
    assert codes == [0, 0], "".join(out[-3000:] for out in said)
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["processes"] == 2 and card["ended"] == "finished" and len(card["before"]) == 2
    assert min(steps(1)) <= left_at  # from the checkpoint before, not from the start
    assert min(steps(1)) > 0


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (dict(NNODES="2:1", MASTER_ADDR="a"), "NNODES=2:1: give the number of machines"),
        (dict(NNODES="x"), "NNODES=x: give the number of machines"),
        (dict(NNODES="2"), "NNODES=2 without MASTER_ADDR: give the name or address"),
        (dict(NNODES="2", MASTER_ADDR="a", NODE_RANK="2"), "NODE_RANK=2: .* one of 0 to 1"),
        (dict(NNODES="2", MASTER_ADDR="a"), "NNODES=2 without NODE_RANK: give each machine its"),
        (dict(MAX_RESTARTS="-1"), "MAX_RESTARTS=-1: give how often"),
        (dict(MASTER_PORT="65536"), "MASTER_PORT=65536: give a free port"),
    ],
)
def test_what_makes_no_machines_is_refused(environment: dict[str, str], told: str) -> None:
    """Before torchrun is called, in one sentence."""
    command = ["bash", "tools/dist_train.sh", "config.py", "1"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(f"Error: {told}.*\n", done.stderr), done.stderr


@pytest.mark.slow
def test_a_dead_rank_ends_the_job(tmp_path: Path) -> None:
    """Without restarts the job ends with the error, not at gloo's timeout of half an hour."""
    process = torchrun(write_config(tmp_path, 6), 0)
    while not (tmp_path / "run/epoch_1_iter_6.pth").is_file() and process.poll() is None:
        time.sleep(0.1)
    began = time.monotonic()
    out, _ = process.communicate(timeout=120)
    print(f"ended {time.monotonic() - began:.1f} s after the fault")
    assert process.returncode != 0
    assert "planted on rank 1" in out


@pytest.mark.slow
def test_sigterm_to_torchrun_saves(tmp_path: Path) -> None:
    """All ranks agree on the step to leave at, and the checkpoint of it is whole."""
    process = torchrun(write_config(tmp_path, -1), 0)
    while not (tmp_path / "run/epoch_0_iter_2.pth").is_file() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=300)
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["ended"] == "left on a signal, exit code 143", out[-3000:]
    assert load_checkpoint(tmp_path / f"run/epoch_{card['epoch']}_iter_{card['iter'] + 1}.pth")
