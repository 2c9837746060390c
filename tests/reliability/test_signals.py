"""SIGTERM, Ctrl-C and SIGKILL: nothing is lost, and the exit code says what happened (R2)."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.training import train
from tests.reliability.runs import (
    NoiseHook,
    assert_same_run,
    in_a_process,
    noisy_config,
    unbroken,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of an unbroken run."""
    return unbroken(tmp_path_factory.mktemp("whole"))


def run(folder: str, resume: bool, workers: int, every_step: bool) -> None:
    """A training in a process and a process group of its own."""
    os.setpgrp()
    torch.set_num_threads(1)
    options = {"default_hooks.checkpoint.every_iters": int(every_step)}
    train(noisy_config(Path(folder), workers, **options), resume)


def send(number: int, group: bool = False) -> Any:
    """Act of a NoiseHook: signal this process, or its workers too."""

    def act(runner: Any) -> None:
        (os.killpg if group else os.kill)(os.getpid(), number)

    return act


@pytest.mark.parametrize(
    ("number", "at", "code", "saved"),
    [
        (signal.SIGTERM, ("step", 5), 143, "epoch_1_iter_6.pth"),
        (signal.SIGINT, ("step", 3), 130, "epoch_0_iter_4.pth"),
        (signal.SIGTERM, ("evaluation", 2), 143, "epoch_1_iter_8.pth"),
    ],
    ids=["SIGTERM", "Ctrl-C", "in the evaluation"],
)
def test_a_signal_saves_and_leaves(
    whole: dict[str, Any], tmp_path: Path, number: int, at: Any, code: int, saved: str
) -> None:
    """The step ends, a checkpoint of it is written, and the resumed run is the unbroken one."""
    NoiseHook.act, NoiseHook.at = send(number), at
    with pytest.raises(SystemExit) as left:
        train(noisy_config(tmp_path))
    assert left.value.code == code
    assert (tmp_path / saved).is_file()
    card = json.loads((tmp_path / "run.json").read_text())
    assert card["ended"] == f"left on a signal, exit code {code}"
    train(noisy_config(tmp_path), resume=True)
    assert_same_run(load_checkpoint(tmp_path / "epoch_3.pth"), whole)
    card = json.loads((tmp_path / "run.json").read_text())
    assert card["ended"] == "finished" and card["resumed_from"] == saved


def test_handlers_are_put_back(tmp_path: Path) -> None:
    """A notebook's Ctrl-C is its own again behind a training."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    NoiseHook.act, NoiseHook.at = send(signal.SIGTERM), ("step", 0)
    with pytest.raises(SystemExit):
        train(noisy_config(tmp_path))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """Whoever presses it twice is not kept by a slow step."""

    def twice(runner: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    NoiseHook.act, NoiseHook.at = twice, ("step", 2)
    with pytest.raises(KeyboardInterrupt):
        train(noisy_config(tmp_path))
    assert not list(tmp_path.glob("*.pth"))


def test_signal_to_the_workers_too(whole: dict[str, Any], tmp_path: Path) -> None:
    """slurm and timeout signal all processes: the loader's workers outlive the last step."""
    NoiseHook.act, NoiseHook.at = send(signal.SIGTERM, group=True), ("step", 5)
    process = in_a_process(run, str(tmp_path), False, 2, False)
    NoiseHook.act = None
    process.join(120)
    assert process.exitcode == 143
    assert (tmp_path / "epoch_1_iter_6.pth").is_file()


def leave_workers(folder: str, left: Any) -> None:
    """Train with workers that live on over epochs, and count those that outlive the training."""
    runner = train(noisy_config(Path(folder), 2, **{"train_dataloader.persistent_workers": True}))
    left.put(len(multiprocessing.active_children()))
    del runner  # until here it keeps the loader


def test_workers_end_with_the_training(tmp_path: Path) -> None:
    """Python would end them by a signal when it leaves, which torch answers with a traceback."""
    left = multiprocessing.get_context("fork").Queue()
    process = in_a_process(leave_workers, str(tmp_path), left)
    process.join(120)
    assert process.exitcode == 0 and left.get(timeout=5) == 0


def kill_and_resume(folder: Path, seconds: float) -> bool:
    """SIGKILL a run some seconds after it began to train; whether it was still running."""
    process = in_a_process(run, str(folder), folder.exists(), 0, True)
    while not (folder / "run.json").is_file() and process.is_alive():
        time.sleep(0.01)
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def whole_files(folder: Path) -> int:
    """Number of checkpoints under final names; every one must be readable."""
    found = list(folder.glob("*.pth"))
    for path in found:
        load_checkpoint(path)
    return len(found)


def kills(folder: Path, whole: dict[str, Any], number: int) -> None:
    """Kill a run that saves every step, at random moments, resume each time, and finish."""
    chance = random.Random(number)
    survived = 0
    while survived < number:
        if not kill_and_resume(folder, chance.uniform(0, 4)):
            break
        survived += 1
        whole_files(folder)
    process = in_a_process(run, str(folder), True, 0, True)
    process.join()
    assert process.exitcode == 0
    assert_same_run(load_checkpoint(folder / "epoch_3.pth"), whole)
    assert not list(folder.glob("*.part"))


@pytest.mark.slow
def test_killed_and_resumed(whole: dict[str, Any], tmp_path: Path) -> None:
    """SIGKILL up to 3 times in one run: it finishes with the unbroken run's weights."""
    kills(tmp_path / "run", whole, 3)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_killed_at_ten_moments(whole: dict[str, Any], tmp_path: Path, number: int) -> None:
    """SIGKILL at ten random moments, one a run: 10 of 10 finish equal to the unbroken run."""
    folder = tmp_path / "run"
    alive = kill_and_resume(folder, random.Random(number).uniform(0, 2.5))
    print(f"killed while running: {alive}")
    whole_files(folder)
    process = in_a_process(run, str(folder), True, 0, True)
    process.join()
    assert process.exitcode == 0
    assert_same_run(load_checkpoint(folder / "epoch_3.pth"), whole)
