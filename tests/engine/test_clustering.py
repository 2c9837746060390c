"""The clustering hook and runs without steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from sklearn.cluster import KMeans

from sgseg.engine import AlternatingStageHook, ClusterFeaturesHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks.clustering import fit_centres, sample_features
from sgseg.models import PixelKMeans
from sgseg.training import build_config, train
from sgseg.training import test as evaluate
from tests.conftest import ROOT

SMALL = {
    "train_dataloader.dataset.length": 8,
    "train_dataloader.dataset.size": 24,
    "val_dataloader.dataset.length": 6,
    "val_dataloader.dataset.size": 24,
    "test_dataloader.dataset.length": 6,
    "test_dataloader.dataset.size": 24,
    "default_hooks.pictures.count": 2,
}


def without_pictures(path: Path, **arguments: Any) -> Config:
    """A config that draws nothing, which takes longer here than training."""
    config = build_config(path, **arguments)
    config.default_hooks.pop("pictures")
    return config


def kmeans(**options: Any) -> PixelKMeans:
    """K-Means on colours of [0, 1]."""
    return PixelKMeans(
        dict(type="CentroidHead", in_channels=3, num_classes=3),
        dict(type="ImagePreprocessor", standardise="none"),
        **options,
    )


def coloured(count: int = 3, side: int = 8) -> torch.Tensor:
    """Images whose pixel i has the colour i / 64."""
    ramp = torch.arange(side * side).view(1, 1, side, side) / side**2
    return ramp.expand(count, 3, side, side).contiguous()


def test_samples_are_pixels_of_the_mask() -> None:
    """Only unmasked pixels, each at most once an image, exact colours, the same for one seed."""
    mask = torch.zeros(3, 8, 8, dtype=torch.bool)
    mask[0, 2], mask[1, :, 3] = True, True  # the third image has none
    batches = [dict(inputs=coloured(), mask=mask)]
    found = sample_features(kmeans(), batches, 100, seed=0)
    expected = [*(16 + i for i in range(8)), *(8 * i + 3 for i in range(8))]
    np.testing.assert_allclose(sorted(found[:, 0] * 64), sorted(expected), atol=1e-5)
    few = sample_features(kmeans(), batches, 2, seed=0)
    assert len(few) == 4
    assert torch.equal(few, sample_features(kmeans(), batches, 2, seed=0))
    assert not torch.equal(few, sample_features(kmeans(), batches, 2, seed=1))


def test_a_set_without_a_pixel_says_so() -> None:
    """All masked out is an error with a word, and so are fewer pixels than clusters."""
    nothing = dict(inputs=coloured(), mask=torch.zeros(3, 8, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="masked out"):
        sample_features(kmeans(), [nothing], 5, seed=0)
    with pytest.raises(ValueError, match="2 pixels for 3 clusters"):
        fit_centres(torch.zeros(2, 3), 3, seed=0)


def test_centres_are_those_of_lloyd() -> None:
    """On well separated clouds mini-batches find what full K-Means finds."""
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(c, 0.02, (400, 2)) for c in (0.0, 1.0, 3.0)])
    expected = KMeans(3, n_init=10, random_state=0).fit(clouds).cluster_centers_
    found = fit_centres(torch.from_numpy(clouds), 3, seed=0).numpy()
    np.testing.assert_allclose(np.sort(found, 0), np.sort(expected, 0), atol=0.01)


def test_two_heads_in_turn() -> None:
    """IIC's stages follow from the epoch alone, so a resumed run needs no memory of them."""
    hook = AlternatingStageHook()
    assert [hook.stage_at(epoch) for epoch in range(5)] == [
        "auxiliary_head",
        "decode_head",
        "auxiliary_head",
        "decode_head",
        "auxiliary_head",
    ]
    with pytest.raises(ValueError, match="stages is empty"):
        AlternatingStageHook([])


@pytest.mark.parametrize("argument", ["pixels", "interval"])
def test_impossible_hooks_are_refused(argument: str) -> None:
    """Fewer than one pixel, or epoch between fits, means nothing."""
    with pytest.raises(ValueError, match="must be >= 1"):
        ClusterFeaturesHook(**{argument: -1})


@pytest.mark.slow
def test_kmeans_is_a_run_like_any_other(tmp_path: Path) -> None:
    """eval.json, a checkpoint with the centres, pictures; tools/test.py finds the same score."""
    path = ROOT / "configs/kmeans/kmeans_mosaic.py"
    runner = train(build_config(path, work_dir=tmp_path / "run", options=SMALL))
    record = runner.val_evaluator.metrics[0].record
    saved = load_checkpoint(tmp_path / "run/epoch_1.pth")
    centres = saved["state_dict"]["decode_head.centres"]
    assert centres.std(0).min() > 0.01
    assert saved["meta"]["evaluation"]["confusion"] == record["confusion"]
    assert (tmp_path / "run/pictures/epoch_001.png").is_file()
    again = evaluate(
        without_pictures(path, work_dir=tmp_path / "test", options=SMALL),
        tmp_path / "run/epoch_1.pth",
    )
    assert again["confusion"] == record["confusion"]
    repeat = train(without_pictures(path, work_dir=tmp_path / "again", options=SMALL))
    assert torch.equal(repeat.model.decode_head.centres.detach(), centres)
    other = train(without_pictures(path, work_dir=tmp_path / "other", seed=1, options=SMALL))
    assert not torch.equal(other.model.decode_head.centres.detach(), centres)


def test_an_untrained_run_changes_no_weight(tmp_path: Path) -> None:
    """The Random CNN is saved as it was built from the seed."""
    path = ROOT / "configs/random_cnn/random_cnn_mosaic.py"
    config = without_pictures(
        path, work_dir=tmp_path, seed=4, options=SMALL | {"model.backbone.base_channels": 2}
    )
    runner = train(config)
    torch.manual_seed(0)
    norm = runner.model.backbone.layers[0][1]
    assert int(norm.num_batches_tracked) == 0
    assert runner.iter == 0 and runner.epoch == 1
    assert (tmp_path / "eval.json").is_file() and (tmp_path / "epoch_1.pth").is_file()


def test_centres_follow_the_features_and_resume(tmp_path: Path) -> None:
    """Doersch: stopped after an epoch and resumed equals unbroken, centres and score too."""
    path = ROOT / "configs/doersch/doersch_mosaic.py"
    options = SMALL | {
        "model.backbone.base_channels": 2,
        "model.task.side": 3,
        "train_cfg.max_epochs": 2,
        "train_dataloader.batch_size": 4,
    }
    whole = train(without_pictures(path, work_dir=tmp_path / "whole", options=options))
    first = options | {"train_cfg.max_epochs": 1}
    train(without_pictures(path, work_dir=tmp_path / "parts", options=first))
    train(without_pictures(path, work_dir=tmp_path / "parts", options=options), resume=True)
    saved = [load_checkpoint(tmp_path / d / "epoch_2.pth") for d in ("whole", "parts")]
    one, other = (checkpoint["state_dict"] for checkpoint in saved)
    assert all(torch.equal(one[key], other[key]) for key in one)
    before = load_checkpoint(tmp_path / "parts/epoch_1.pth")["state_dict"]["decode_head.centres"]
    assert not torch.equal(before, whole.model.decode_head.centres.detach())
    assert (
        saved[0]["meta"]["evaluation"]["confusion"] == saved[1]["meta"]["evaluation"]["confusion"]
    )
