"""Frozen features from the command line's functions: train, test, predict, plan, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sgseg import load
from sgseg.cost.plan import make_plan
from sgseg.datasets import TextureMosaic
from sgseg.inference.export import export_onnx, sample_images
from sgseg.io.images import write_png
from sgseg.registry import MODELS
from sgseg.training import build_config, train
from sgseg.training import test as evaluate
from sgseg.training.saved import config_for
from tests.conftest import ROOT
from tests.timm_at_hand import SMALL, demand_timm

timm = demand_timm()


@pytest.fixture(name="folder", scope="module")
def folder_of_mosaics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled images and a file of weights."""
    root = tmp_path_factory.mktemp("folder")
    (root / "classes.txt").write_text("a\nb\nc\n")
    mosaics = TextureMosaic(length=6, size=40)
    for number in range(6):
        item = mosaics.load(number)
        write_png(root / f"images/{number}.png", item["img"])
        write_png(root / f"labels/{number}.png", item["gt_seg_map"].astype(np.uint8))
    torch.manual_seed(3)
    network = timm.create_model(SMALL["model"], num_classes=0, **SMALL["model_args"])
    torch.save(network.state_dict(), root / "weights.pth")
    return root


def small_config(folder: Path, name: str, part: str, out: Path, **more: Any) -> Config:
    """A config on the small images, with the file's weights in a part of the model."""
    own = dict(SMALL, weights=str(folder / "weights.pth"))
    options: dict[str, Any] = {f"model.{part}": own, "default_hooks.pictures": None}
    options["train_dataloader.sampler.images"] = None
    for loader in ("train", "val", "test"):
        options[f"{loader}_dataloader.num_workers"] = 0
        for number in (0, 1):
            options[f"{loader}_dataloader.dataset.transforms.{number}.size"] = 32
    return build_config(name, folder, 3, work_dir=out, preset="tiny", options=options | more)


def test_a_checkpoint_without_its_weights(folder: Path, tmp_path: Path) -> None:
    """It is small, opens beside its file, and says which file it misses; no prediction is kept."""
    quick = {"default_hooks.label_free": None, "model.backbone.cache": str(tmp_path / "cache")}
    train(small_config(folder, "kmeans_features_folder", "backbone", tmp_path / "run", **quick))
    kept = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(kept) == 6  # fitted and scored on the same
    path, moved = tmp_path / "run/epoch_1.pth", tmp_path / "moved.pth"
    assert path.stat().st_size < 2 * (folder / "weights.pth").stat().st_size
    labels, _ = load(path)(folder / "images/0.png")
    assert len(np.unique(labels)) > 1
    assert sorted((tmp_path / "cache").rglob("*.npy")) == kept
    (folder / "weights.pth").rename(moved)
    try:
        with pytest.raises(FileNotFoundError, match=r"weights = .*weights.pth: no such file"):
            load(path)
        new = dict(options={"model.backbone.weights": str(moved)})
        again, _ = load(path, overrides=new)(folder / "images/0.png")
    finally:
        moved.rename(folder / "weights.pth")
    assert (again == labels).all()


@pytest.mark.slow
def test_kmeans_is_scored_again(folder: Path, tmp_path: Path) -> None:
    """``sgseg test`` finds the score of the run, of features that are in the cache."""
    cache = {"model.backbone.cache": str(tmp_path / "cache")}
    for name in ("kmeans_features_folder", "kmeans_features_superpixels"):
        run = tmp_path / name
        runner = train(small_config(folder, name, "backbone", run, **cache))
        kept = sorted((tmp_path / "cache").rglob("*.npy"))
        assert len(kept) == 12  # and mirrored, for the flip consistency
        path = run / "epoch_1.pth"
        record = evaluate(config_for(path, work_dir=run / "test"), path)
        assert sorted((tmp_path / "cache").rglob("*.npy")) == kept
        assert record["confusion"] == runner.val_evaluator.metrics[0].record["confusion"]


@pytest.mark.slow
def test_sgseg_with_frozen_features(folder: Path, tmp_path: Path) -> None:
    """Two epochs, resumed for a third without a word on missing weights; then planned."""
    options = {"train_cfg.val_interval": 1, "model.backbone.num_superpixels": 9}
    shared = (folder, "sgseg_diffgcn_features_folder", "frozen", tmp_path / "run")
    train(small_config(*shared, **options, **{"train_cfg.max_epochs": 2}))
    train(small_config(*shared, **options, **{"train_cfg.max_epochs": 3}), resume=True)
    log = next((tmp_path / "run").glob("*/*.log")).read_text()
    assert "missing keys" not in log and "unexpected key" not in log
    labels, state = load(tmp_path / "run/epoch_3.pth")(folder / "images/0.png")
    assert state.frozen.shape[:2] == (1, 24)
    config = small_config(*shared)
    with torch.device("meta"):
        parts = dict(MODELS.build(config.model).named_children())
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    trained = sum(sizes.values()) - sizes["frozen"]
    plan = make_plan(config, (32, 32), timed=False)
    assert plan.fixed == 4 * (3 * trained + sizes["frozen"])  # of what is frozen no moments


@pytest.mark.slow
def test_features_export_at_any_size(folder: Path, tmp_path: Path) -> None:
    """K-Means on them as one ONNX file, weights in it."""
    config = small_config(folder, "kmeans_features_folder", "backbone", tmp_path)
    train(config)
    agreement = export_onnx(
        load(tmp_path / "epoch_1.pth"), tmp_path / "m.onnx", sample_images(3, 4)
    )
    assert agreement.enough


@pytest.mark.slow
def test_the_comparison_that_ships(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of the example, and its table."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    example: Any = __import__("compare_features")
    own = dict(SMALL, weights=str(folder / "weights.pth"))
    options = {
        "default_hooks.pictures": None,
        "train_dataloader.num_workers": 0,
        "train_dataloader.sampler.images": None,
    }
    given = dict(out=str(tmp_path), seeds=(0, 1), num_classes=3, options=options)
    found = example.main(str(folder), own, example.ROWS, **given)
    found |= example.main(str(folder), own, example.TRAINED, **(given | dict(epochs=1)))
    lines = example.table(found).splitlines()[2:]
    assert [line.split(" | ")[0].strip("| ") for line in lines] == list(found)
    assert all(len(accuracies) == 2 for accuracies in found.values()) and len(found) == 5
