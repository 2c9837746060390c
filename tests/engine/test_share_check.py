"""Clusters that do not have the sizes told are noticed without labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sgseg.engine import ShareCheckHook
from sgseg.engine.hooks.share_check import usage_of
from sgseg.models import ImagePreprocessor
from sgseg.training import build_config, config_for, train
from sgseg.training import test as score
from tests.conftest import ROOT, TINY
from tests.reliability.ranks import on_ranks

HEAD = {
    key: value
    for key, value in TINY.items()
    if not key.startswith(("model.backbone", "model.neck", "train_cfg.val"))
}


def test_what_was_told_is_compared_and_recorded(tmp_path: Path) -> None:
    """At the end of the run, and in the protocol of its evaluation, of a later one too."""
    options = HEAD | {
        "model.decode_head.base_channels": 2,
        "default_hooks.pictures": None,
        "default_hooks.label_free": None,
        "default_hooks.shares.tolerance": 0.001,
        "default_hooks.shares.images": 4,
    }
    config = build_config(
        ROOT / "configs/ac/ac_mosaic.py",
        work_dir=tmp_path,
        shares=[0.9, 0.06, 0.04],
        options=options,
    )
    epochs = config.train_cfg.max_epochs
    train(config)
    (log,) = tmp_path.glob("*/*.log")
    assert "told were 0.90 0.06 0.04" in log.read_text() and "state other shares" in log.read_text()
    record = json.loads((tmp_path / "eval.json").read_text())
    assert record["protocol"]["told"] == "the sizes 0.90 0.06 0.04"
    checkpoint = tmp_path / f"epoch_{epochs}.pth"
    assert score(config_for(checkpoint), checkpoint)["protocol"] == record["protocol"]


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


@pytest.mark.parametrize("wrong", [dict(tolerance=0.0), dict(images=0)])
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """The message names all that has to go together."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} = "):
        ShareCheckHook(**wrong)  # type: ignore[arg-type]
