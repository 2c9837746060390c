"""Stages, rates and checkpoint plumbing, apart from a run."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from sgseg.engine import ModuleLRConstructor, TrainingStageHook
from sgseg.engine.checkpoints.backend import write_atomically
from sgseg.engine.checkpoints.loading import load_checkpoint, plain
from sgseg.engine.hooks.memory import process_peak_mib
from sgseg.engine.hooks.pictures import strip_of
from sgseg.registry import MODELS
from tests.conftest import tiny_config


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([(0, "joint")], ["joint"] * 4),
        ([(0, "superpixel"), (2, "joint")], ["superpixel"] * 2 + ["joint"] * 2),
        ([(0, "superpixel"), (1, "segmentation")], ["superpixel"] + ["segmentation"] * 3),
    ],
)
def test_stage_follows_from_the_epoch(stages: Any, expected: list[str]) -> None:
    """The three schemes of Table 2 give the printed stage in every epoch."""
    hook = TrainingStageHook(stages)
    assert [hook.stage_at(epoch) for epoch in range(4)] == expected


@pytest.mark.parametrize("stages", [[], [(1, "joint")], [(0, "joint"), (0, "superpixel")]])
def test_bad_stages_are_refused(stages: Any) -> None:
    """A schedule with a hole at the start or out of order is an error, not a guess."""
    with pytest.raises(ValueError, match="ascend"):
        TrainingStageHook(stages)


class Parts(nn.Module):
    """Two parts with a parameter each."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.extra = nn.Linear(2, 2)


def test_each_part_gets_its_rate() -> None:
    """Table 12's absolute rates arrive in the optimiser."""
    build = ModuleLRConstructor(
        dict(optimizer=dict(type="Adam", fused="auto")),
        dict(lr=dict(backbone=1e-5, extra=3e-4, absent=1.0)),
    )
    groups = build(Parts()).optimizer.param_groups
    assert {group["name"]: group["lr"] for group in groups} == dict(backbone=1e-5, extra=3e-4)


def test_part_without_a_rate_is_refused() -> None:
    """A new part cannot train at some default rate unnoticed."""
    build = ModuleLRConstructor(dict(optimizer=dict(type="Adam")), dict(lr=dict(backbone=1e-5)))
    with pytest.raises(ValueError, match=r"no learning rate for \['extra'\]"):
        build(Parts())


def test_plain_values(tmp_path: Any) -> None:
    """What mmengine and NumPy put into a checkpoint loads with weights_only afterwards."""
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    value = dict(state_dict={}, a=buffer, b=np.float64(1.5), c=[np.arange(3)], d=("x", np.int64(2)))
    torch.save(plain(value), tmp_path / "c.pth")
    loaded = load_checkpoint(tmp_path / "c.pth")
    assert loaded["b"] == 1.5
    assert loaded["d"] == ("x", 2)
    assert loaded["c"][0].tolist() == [0, 1, 2]


def test_malicious_checkpoint_runs_nothing(tmp_path: Any) -> None:
    """A pickle that would run a command is refused, and the command does not run."""

    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save(dict(state_dict=Evil()), tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


def test_interrupted_write_leaves_the_old_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash while writing leaves the previous file whole."""
    import os

    path = tmp_path / "file"
    write_atomically(path, b"old")

    def crash(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_hook_sets_the_model() -> None:
    """The hook reaches the model before its first batch."""
    model = SimpleNamespace(stage="joint")
    runner = SimpleNamespace(
        model=model, epoch=0, iter=0, logger=SimpleNamespace(info=lambda text: None)
    )
    TrainingStageHook([(0, "superpixel"), (1, "joint")]).before_train_epoch(runner)
    assert model.stage == "superpixel"


@pytest.mark.slow
def test_peak_memory_is_the_process_own() -> None:
    """A run started by a larger process does not report that one's memory as its own."""
    ballast = np.ones(2**27)  # 1 GiB
    code = "from sgseg.engine.hooks.memory import process_peak_mib as peak; print(peak())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ballast[-1] == 1 and process_peak_mib() > 1024
    assert 10 < float(found.stdout) < 1024


def test_strips_colour_every_class_of_the_truth(tmp_path: Path) -> None:
    """Of more classes than clusters too: black are pixels without a label alone."""
    config = tiny_config(tmp_path)
    model = MODELS.build(config.model)
    gt = torch.tensor([0, 1, 2, 3, 255]).repeat_interleave(8)[None, None].expand(1, 40, 40)
    batch = dict(inputs=torch.randint(0, 255, (1, 3, 40, 40), dtype=torch.uint8), gt=gt)
    strip = strip_of(model, batch, np.array([0, 1, -1]))
    truth = strip[-84, -160:][16::32]  # one pixel of each, enlarged by 4
    black = (truth == 0).all(1)
    assert black.tolist() == [False] * 4 + [True]
    assert len(np.unique(truth, axis=0)) == 5
