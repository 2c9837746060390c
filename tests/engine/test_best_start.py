"""Several heads are begun; the one whose readings agree best beyond chance goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from sgseg.engine import BestStartHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks import best_start
from sgseg.training import build_config, train
from tests.conftest import ROOT, TINY
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


def begun(folder: Path, **options: Any) -> Any:
    """A tiny run of the head alone: three starts of one epoch, and three epochs more."""
    given = HEAD | {
        "train_cfg.max_epochs": 6,
        "model.decode_head.base_channels": 2,
        "default_hooks.pictures": None,
        "default_hooks.label_free": None,
        "default_hooks.checkpoint.interval": 1,
        "default_hooks.checkpoint.max_keep_ckpts": -1,
        "default_hooks.starts": dict(type="BestStartHook", images=4),
    }
    config = ROOT / "configs/ac/ac_mosaic.py"
    return build_config(config, work_dir=folder, options=given | options)


def scored(monkeypatch: pytest.MonkeyPatch, *values: float) -> list[dict[str, torch.Tensor]]:
    """Scores by turns; the weights that were scored are noted."""
    seen: list[dict[str, torch.Tensor]] = []

    def score(model: Any, *rest: Any) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return dict(order_kappa=values[len(seen) - 1], flip_kappa=0.0)

    monkeypatch.setattr(best_start, "score_images", score)
    return seen


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Those of the head in a checkpoint."""
    state = load_checkpoint(path)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("decode_head")}


@pytest.mark.parametrize("values", [(0.5, 0.7, 0.6), (0.1, 0.2, 0.3)])
def test_the_best_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...]
) -> None:
    """Starts draw weights of their own, and after the last the best one's are there, to the bit."""
    seen = scored(monkeypatch, *values)
    train(begun(tmp_path))
    assert len(seen) == 3
    name = "decode_head.classifier.0.weight"
    assert not torch.equal(seen[0][name], seen[1][name])
    chosen = seen[values.index(max(values))]
    assert all(
        torch.equal(value, chosen[k]) for k, value in weights(tmp_path / "epoch_3.pth").items()
    )
    assert load_checkpoint(tmp_path / "epoch_6.pth")["meta"]["start_scores"] == list(values)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [2, 4])
def test_a_resumed_run_chooses_alike(tmp_path: Path, epoch: int) -> None:
    """Broken off between two starts, and after the choice."""
    train(begun(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    for name in (f"epoch_{epoch}.pth", "best_start.pth"):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    train(begun(tmp_path / "two"), resume=True)
    one, two = (load_checkpoint(tmp_path / name / "epoch_6.pth") for name in ("one", "two"))
    assert_same_run(one, two)


def test_a_short_run_has_one_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts take no more than half of the run: nothing is scored, nothing drawn anew."""
    seen = scored(monkeypatch)
    train(begun(tmp_path, **{"train_cfg.max_epochs": 3}))
    assert not seen


@pytest.mark.parametrize("wrong", [dict(length=0.6), dict(starts=0), dict(images=0)])
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """The message names all that has to go together."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} "):
        BestStartHook(**wrong)
