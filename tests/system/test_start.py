"""How a run begins: the batch on several processes, few images, and starts that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sgseg.training import build_config, train
from sgseg.training import test as evaluate
from tests.conftest import ROOT, TINY
from tests.reliability.runs import in_a_process
from tests.reliability.test_torchrun import free_port

MOSAIC = ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py"
QUICK: dict[str, Any] = {
    **{k: v for k, v in TINY.items() if k.startswith(("model.", "val_data", "test_data"))},
    "train_dataloader.dataset.size": 32,
    "total_batch_size": 8,
    "train_dataloader.dataset.length": 21,
    "default_hooks.pictures.interval": 0,
}
"""The tiny recipe with the total of the mosaic: two steps an epoch, five images left out."""
NET = {k: v for k, v in TINY.items() if k.startswith("model.")}


def begin(folder: str, rank: int, world: int, port: int) -> None:
    """One rank of a run, with the environment that torchrun sets."""
    torch.set_num_threads(1)
    os.chdir(folder)
    place = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=world, MASTER_PORT=port)
    place |= dict(TORCHELASTIC_RESTART_COUNT=0, MASTER_ADDR="127.0.0.1")
    os.environ.update({key: str(value) for key, value in place.items()})
    train(build_config(MOSAIC, launcher="pytorch", epochs=1, options=QUICK))


def batch_of(folder: Path, world: int) -> tuple[dict[str, Any], str]:
    """What ``run.json`` and the first lines of the log say of a run on ``world`` processes."""
    folder.mkdir()
    port = free_port()
    ranks = [in_a_process(begin, str(folder), rank, world, port) for rank in range(world)]
    for rank in ranks:
        rank.join(200)
    assert [rank.exitcode for rank in ranks] == [0] * world
    (run,) = (folder / "work_dirs").glob("*/run_*")  # all ranks agreed on one
    assert (run.parent / "latest").samefile(run)
    (log,) = run.glob("*/*.log")
    card = json.loads((run / "run.json").read_text())
    assert card["ended"] == "finished" and card["processes"] == world
    assert card["iter"] == card["batch"]["steps_per_epoch"]
    return card["batch"], "".join(log.read_text().splitlines(keepends=True)[:2])


def test_two_and_four_processes_take_one_batch(tmp_path: Path) -> None:
    """The same images in as many steps of an epoch; the first lines of the log say it."""
    for world in (2, 4):
        batch, first = batch_of(tmp_path / str(world), world)
        assert (batch["total"], batch["steps_per_epoch"]) == (8, 2)
        assert (batch["processes"], batch["per_process"]) == (world, 8 // world)
        assert f"Total batch: 8 images a step (processes: {world}" in first
        assert "Steps an epoch: 2 (images: 21, left out of each epoch: 5" in first


@pytest.mark.slow
def test_torchrun_refuses_what_does_not_divide(tmp_path: Path) -> None:
    """8 images on 3 processes, by the script that users start: a sentence, and no file."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = ["bash", str(ROOT / "tools/dist_train.sh"), str(MOSAIC), "3"]
    env["MASTER_PORT"] = str(free_port())
    done = subprocess.run(
        command, cwd=tmp_path, env=env, text=True, capture_output=True, timeout=200
    )
    assert done.returncode and "total_batch_size = 8 does not divide among 3" in done.stderr
    assert not list(tmp_path.iterdir())


def photographs(root: Path, count: int) -> Path:
    """A folder of small images without labels."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 255, (32, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{number}.png"), pixels)
    return root


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_without_workers(tmp_path: Path, count: int) -> None:
    """The folder recipe trains on one image and on two, with the batch that they make."""
    config = build_config(
        ROOT / "configs/sgseg/sgseg_diffgcn_folder.py",
        data=photographs(tmp_path / "data", count),
        work_dir=tmp_path / "run",
        epochs=1,
        options=NET | {"train_dataloader.num_workers": 0, "train_dataloader.sampler.images": None},
    )
    train(config)
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["ended"] == "finished" and card["iter"] == 1
    assert (card["batch"]["total"], card["batch"]["images"]) == (count, count)
    (log,) = (tmp_path / "run").glob("*/*.log")
    assert f"has {count} images, fewer than a batch of 16" in log.read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the log, which is open as long as the test's process lives."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_run_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed starts of every kind, a second run and an evaluation leave a finished run alone."""
    monkeypatch.chdir(tmp_path)
    short = QUICK | {"train_dataloader.dataset.length": 8}

    def start(resume: bool = False, **changes: Any) -> Any:
        options = short | {key.replace("__", "."): value for key, value in changes.items()}
        return train(build_config(MOSAIC, epochs=1, options=options), resume)

    run = Path(start().work_dir)
    before, names = contents(run), {path.name for path in run.iterdir()}
    with pytest.raises(ValueError, match="Nothing"):
        start(model__neck__block__type="Nothing")
    with pytest.raises(ValueError, match="does not fit the model"):
        start(resume=True, model__decode_head__num_classes=5)
    with pytest.raises(ValueError, match="holds a run already"):
        start(work_dir=str(run))
    missing = build_config(MOSAIC, options=short)
    missing.train_dataloader.dataset = dict(type="ImageFolder", root="nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(missing)
    assert {path.name for path in run.parent.iterdir()} == {run.name, "latest"}
    assert contents(run) == before and {path.name for path in run.iterdir()} == names
    config = build_config(MOSAIC, options=short)
    record = evaluate(config, run / "epoch_1.pth")
    assert Path(config.work_dir) == run / "test_epoch_1"
    assert json.loads((run / "test_epoch_1/eval.json").read_text())["images"] == record["images"]
    assert {k: v for k, v in contents(run).items() if not k.startswith("test_")} == before


def test_a_config_beside_its_run_stays(tmp_path: Path) -> None:
    """A run into the folder of its config writes the resolved one under another name."""
    config = build_config(MOSAIC, epochs=1, options=QUICK)
    config.train_dataloader.dataset.length = 8
    config.dump(tmp_path / "mine.py")
    text = (tmp_path / "mine.py").read_text() + "\n# a note\n"
    (tmp_path / "mine.py").write_text(text)
    train(build_config(tmp_path / "mine.py", work_dir=tmp_path))
    assert (tmp_path / "mine.py").read_text() == text
    assert "total_batch_size = 8" in (tmp_path / "mine_resolved.py").read_text()
