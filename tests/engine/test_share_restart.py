"""A head whose clusters do not take the sizes told is noticed without labels and starts again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from sgseg.engine import ShareRestartHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks.share_restart import usage_of
from sgseg.models import ImagePreprocessor
from sgseg.training import build_config, config_for, train
from sgseg.training import test as score
from tests.conftest import ROOT, TINY
from tests.reliability.ranks import on_ranks
from tests.reliability.runs import assert_same_run

HEAD = {
    key: value
    for key, value in TINY.items()
    if not key.startswith(("model.backbone", "model.neck", "train_cfg.val"))
}


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formatting a config for the log takes longer than these runs."""
    monkeypatch.setattr(Config, "pretty_text", "")


def told(folder: Path, tolerance: float, epochs: int = 4, **options: Any) -> Any:
    """A tiny run of the head alone that is told two large sizes, and what it may differ by."""
    given = HEAD | {
        "train_cfg.max_epochs": epochs,
        "model.decode_head.base_channels": 2,
        "default_hooks.pictures": None,
        "default_hooks.label_free": None,
        "default_hooks.shares.tolerance": tolerance,
        "default_hooks.shares.images": 4,
    }
    return build_config(
        ROOT / "configs/ac/ac_mosaic.py",
        work_dir=folder,
        shares=[0.9, 0.06, 0.04],
        options=given | options,
    )


def restarts(folder: Path, epoch: int) -> list[int]:
    """What a checkpoint knows of them."""
    found: list[int] = load_checkpoint(folder / f"epoch_{epoch}.pth")["meta"]["share_restarts"]
    return found


@pytest.mark.slow
def test_clusters_that_differ_start_again_and_a_resumed_run_too(tmp_path: Path) -> None:
    """One restart fits into half of four epochs; broken off behind it, the run ends the same."""
    train(told(tmp_path / "one", 0.001))
    assert restarts(tmp_path / "one", 4) == [2]
    record = json.loads((tmp_path / "one/eval.json").read_text())
    assert record["protocol"]["told"] == "the sizes 0.90 0.06 0.04"
    again = score(config_for(tmp_path / "one/epoch_4.pth"), tmp_path / "one/epoch_4.pth")
    assert again["protocol"] == record["protocol"]
    (tmp_path / "two").mkdir()
    for name in ("epoch_3.pth",):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    train(told(tmp_path / "two", 0.001), resume=True)
    one, two = (load_checkpoint(tmp_path / name / "epoch_4.pth") for name in ("one", "two"))
    assert_same_run(one, two)


def test_clusters_that_take_the_sizes_go_on(tmp_path: Path) -> None:
    """Weights are those of a run without the hook."""
    train(told(tmp_path / "with", 0.99, 2))
    train(told(tmp_path / "without", 0.99, 2, **{"default_hooks.shares": None}))
    one, two = (load_checkpoint(tmp_path / n / "epoch_2.pth") for n in ("with", "without"))
    assert restarts(tmp_path / "with", 2) == []
    for name, weight in one["state_dict"].items():
        assert weight.equal(two["state_dict"][name]), name


class Brightness(nn.Module):
    """Class 1 where the first band is above 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = ImagePreprocessor(standardise="none")

    def probability(self, inputs: Tensor) -> Tensor:
        """(B, 2, H, W)."""
        light = (inputs[:, :1] > 0.5).float()
        return torch.cat([1 - light, light], 1)


class Halves:
    """Five images: image i has i columns of eight that are light."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image = torch.zeros(3, 8, 8, dtype=torch.uint8)
        image[:, :, :index] = 255
        return dict(inputs=image)


def usage_on(rank: int) -> tuple[tuple[float, ...], bool]:
    """What a process finds, and whether the model trains on."""
    model = Brightness().train()
    return usage_of(model, Halves(), 5, 2, batch_size=2), model.training


def test_usage_is_of_all_images_over_all_processes(tmp_path: Path) -> None:
    """Ten of forty columns are light: largest first, the same on each of two processes."""
    for found, training in [usage_on(0), *on_ranks(2, tmp_path, usage_on)]:
        assert found == pytest.approx((0.75, 0.25)) and training


@pytest.mark.parametrize("wrong", [dict(tolerance=0.0), dict(first=0.6), dict(images=0)])
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """The message names all that has to go together."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} = "):
        ShareRestartHook(**wrong)  # type: ignore[arg-type]
