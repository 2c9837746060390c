"""Fewer images than processes, and every stage of a training under DistributedDataParallel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks.label_free import score_images
from sgseg.evaluation import LabelFreeScores
from sgseg.registry import DATASETS, MODELS
from sgseg.training import test as evaluate
from tests.reliability.ranks import EPOCH, Left, config_for, on_ranks, run
from tests.reliability.runs import quick_config

STAGES = [(0, "superpixel"), (1, "joint"), (2, "segmentation")]
FEW = {f"{name}_dataloader.dataset.length": 2 for name in ("val", "test")}


def through_the_stages(rank: int, folder: str) -> tuple[Left, list[dict[str, torch.Tensor]]]:
    """How the run ended, and all weights in front of it and behind each of its epochs."""
    weights: list[dict[str, torch.Tensor]] = []

    class Watch(Hook):
        def before_train(self, runner: Any) -> None:
            self.after_train_epoch(runner)

        def after_train_epoch(self, runner: Any) -> None:
            weights.append({n: p.detach().clone() for n, p in runner.model.named_parameters()})

    config = config_for(folder, **FEW)
    config.custom_hooks = [h for h in config.custom_hooks if h["type"] != "NoiseHook"]
    config.default_hooks.stage.stages = STAGES
    return run(config, Watch), weights


@pytest.fixture(
    scope="module", params=[3, pytest.param(4, marks=pytest.mark.slow)], ids="{} ranks".format
)
def ranks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any]]:
    """The work dir, and what each of three processes found: all are more than there are images."""
    folder = tmp_path_factory.mktemp("run")
    return folder, on_ranks(request.param, folder / "ranks", through_the_stages, str(folder))


def test_the_run_ends_well(ranks: Any) -> None:
    """Three epochs of training, evaluation and label-free scores."""
    _, found = ranks
    assert all(left == dict(error="", epoch=3, iter=3 * EPOCH) for left, _ in found)


def test_weights_are_equal_on_all_ranks(ranks: Any) -> None:
    """Behind every stage, to the last bit: what is frozen or unused stays so on each."""
    _, found = ranks
    for _, weights in found[1:]:
        torch.testing.assert_close(weights, found[0][1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("epoch", "still"),
    [(1, ("neck", "decode_head")), (2, ()), (3, ("backbone",))],
    ids=[stage for _, stage in STAGES],
)
def test_only_the_stage_trains(ranks: Any, epoch: int, still: tuple[str, ...]) -> None:
    """A backbone that trained before is left alone by DDP's gradients, and by Adam's memory."""
    _, found = ranks
    before, after = found[0][1][epoch - 1 : epoch + 1]
    for part in ("backbone", "neck", "decode_head"):
        moved = any(
            not torch.equal(before[name], after[name]) for name in before if f"{part}." in name
        )
        assert moved == (part not in still), part


def test_every_image_is_scored_once(ranks: Any, tmp_path: Path) -> None:
    """Two images over more processes: the scores are those of one process."""
    folder, _ = ranks
    record = json.loads((folder / "eval.json").read_text())
    assert record["images"] == 2
    alone = evaluate(quick_config(tmp_path, **FEW), folder / "epoch_3.pth")
    assert record["confusion"] == alone["confusion"]


def test_label_free_scores_of_fewer_images_than_ranks(ranks: Any, tmp_path: Path) -> None:
    """A process without an image adds nothing, and every one has the same scores."""
    folder, _ = ranks
    record = json.loads((folder / "label_free.json").read_text())
    assert record["images"] == 2
    config = quick_config(tmp_path, **FEW)
    model = MODELS.build(config.model)
    model.load_state_dict(load_checkpoint(folder / "epoch_3.pth")["state_dict"])
    alone = score_images(model, DATASETS.build(config.val_dataloader.dataset))
    found = record["epochs"][-1]
    assert {name: found[name] for name in alone} == pytest.approx(alone, abs=2e-6)


def test_no_image_at_all_is_an_error() -> None:
    """Where no process has one there is nothing to score."""
    with pytest.raises(ValueError, match="no image was added"):
        LabelFreeScores(2, 3).scores()
