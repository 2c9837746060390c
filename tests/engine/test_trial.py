"""Node features on trial: kept with a gain, put back to the bit without, on resuming too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from sgseg.engine import NodeTrialHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks import trial
from sgseg.training import train

ConfigMaker = Callable[..., Config]
STAGES = [(0, "superpixel"), (1, "head"), (2, "segmentation")]
BEFORE = dict(order_kappa=0.8, flip_kappa=0.9, mutual_information=0.5)


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (dict(order_kappa=0.83), True),
        (dict(order_kappa=0.81), False),  # too little
        (dict(order_kappa=0.9, flip_kappa=0.8), False),  # they agree on the place
        (dict(order_kappa=0.9, mutual_information=0.4), False),  # they agree on less
    ],
)
def test_what_counts_as_help(after: dict[str, float], kept: bool) -> None:
    """Better agreement alone is no help."""
    assert trial.helps(BEFORE, BEFORE | after, gain=0.02) == kept


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)["state_dict"]


@pytest.mark.parametrize("kept", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_last_epoch_is_of_the_better_one(
    tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Without a gain the last checkpoint is the head alone, to the bit."""
    monkeypatch.setattr(trial, "helps", lambda *scores: kept)
    config = trying(tiny_config(tmp_path))
    train(config)
    head, last = weights(tmp_path / "head.pth"), weights(tmp_path / "epoch_3.pth")
    assert (last["fusion.gate"] == 0) != kept
    assert head["fusion.gate"] == 0  # predicted with, it is the head alone
    learned = head.keys() - {"fusion.gate", "draws._extra_state"}  # the draws go on
    same = [torch.equal(last[name], head[name]) for name in learned]
    assert all(same) != kept
    if not kept:
        records = json.loads((tmp_path / "label_free.json").read_text())["epochs"]
        assert [record.pop("epoch") for record in records] == [2, 3]
        assert records[0] == records[1]  # scores of what is delivered, not of what was tried
        return
    (tmp_path / "epoch_3.pth").unlink()
    train(trying(tiny_config(tmp_path)), resume=True)
    again = weights(tmp_path / "epoch_3.pth")
    assert all(torch.equal(last[name], again[name]) for name in last)


def trying(config: Config) -> Config:
    config.default_hooks.pop("pictures")
    config.default_hooks.label_free.images = 4
    config.default_hooks.stage.stages = STAGES
    config.default_hooks.trial = dict(type="NodeTrialHook", images=4)
    return config


@pytest.mark.parametrize("wrong", [dict(images=0), dict(gain=0.0), dict(batch_size=0)])
def test_a_wrong_number_is_named(wrong: dict[str, Any]) -> None:
    """Before anything is trained."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NodeTrialHook(**wrong)
