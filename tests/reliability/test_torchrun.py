"""A rank that dies ends the job with its error; torchrun's restart goes on from the checkpoint."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.training import build_config, train
from tests.conftest import ROOT
from tests.reliability.runs import assert_same_run, in_a_process, quick_config


def write_config(folder: Path, die_at: int) -> Path:
    """The quick config as a file, with a hook that ends rank 1."""
    config = quick_config(folder / "run", **{"train_dataloader.batch_size": 1})
    config.custom_imports = dict(imports=["tests.reliability.faults"])
    config.custom_hooks.append(dict(type="DyingRankHook", at=die_at))
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


@pytest.mark.slow
def test_restart_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    """Rank 1 dies in the middle of epoch 2: the job says so, restarts, and ends as unbroken."""
    process = torchrun(write_config(tmp_path, 6), 1)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out[-3000:]
    assert "planted on rank 1" in out
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["resumed_from"] == "epoch_1_iter_6.pth" and card["processes"] == 2
    write_config(tmp_path, -1)
    port = free_port()
    pool = [in_a_process(rank_main, str(tmp_path), rank, port) for rank in range(2)]
    for rank in pool:
        rank.join(120)
    assert [rank.exitcode for rank in pool] == [0, 0]
    found, expected = (load_checkpoint(tmp_path / d / "epoch_3.pth") for d in ("run", "whole"))
    # The generators of rank 0 differ, with nothing of it in the weights: nothing drew from them.
    assert_same_run(found | dict(random=0), expected | dict(random=0))


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
