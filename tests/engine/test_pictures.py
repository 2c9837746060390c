"""Pictures of a run: what is drawn with and without labels, the clusters' sheet, the curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sgseg.engine.hooks.pictures import strip_of
from sgseg.registry import MODELS
from sgseg.training import train
from sgseg.visualization import ClusterSheet, palette, plot_curves
from sgseg.visualization.curves import arranged, moves

ConfigMaker = Callable[..., Config]


def test_a_run_without_labels_draws(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """Strips of the epochs in which the head trained, a row a cluster, curves with its scores."""
    config = tiny_config(tmp_path, **{"default_hooks.pictures.interval": 1})
    for name in ("val_dataloader", "val_evaluator", "val_cfg"):
        config[name] = None
    config.default_hooks.checkpoint.pop("save_best")
    config.default_hooks.pictures.surveyed = 3
    train(config)
    pictures = tmp_path / "pictures"
    names = {path.name for path in pictures.iterdir()}
    assert names == {"epoch_003.png", "clusters.png", "curves.png"}  # two of superpixels alone
    assert cv2.imread(str(pictures / "clusters.png")).shape == (3 * 100, 132 + 8 * 100, 3)


def test_pictures_show_what_the_prediction_rests_on(tiny_config: ConfigMaker) -> None:
    """With the gate shut there is neither a superpixel nor a node feature to see."""
    config = tiny_config(Path("x"))
    model = MODELS.build(config.model)
    batch = dict(inputs=torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert strip_of(model, batch).shape[1] == 4 * 164 - 4
    model.fusion.shut()
    assert strip_of(model, batch).shape[1] == 2 * 164 - 4


def test_the_sheet_takes_the_surest_crops() -> None:
    """Against a plain search: the window of the highest mean, other clusters faded, in order."""
    rng = np.random.default_rng(0)
    sheet = ClusterSheet(3, crops=2, part=0.5)
    best = []
    for _ in range(3):
        image = rng.integers(0, 255, (16, 20, 3), dtype=np.uint8)
        sure = rng.random((16, 20))
        probability = np.stack([sure, 1 - sure, np.zeros_like(sure)])  # the third owns nothing
        sheet.add(image, probability)
        labels = probability.argmax(0)
        means = {
            (top, left): np.where(labels == 0, sure, 0)[top : top + 8, left : left + 8].mean()
            for top in range(9)
            for left in range(13)
        }
        top, left = max(means, key=lambda place: means[place])
        window = np.s_[top : top + 8, left : left + 8]
        faded = image[window] + 0.75 * (255.0 - image[window])
        shown = np.where((labels[window] == 0)[..., None], image[window], faded)
        best.append((means[top, left], shown.astype(np.uint8)))
    found = sorted(sheet._surest[0], key=lambda entry: -entry[0])
    wanted = sorted(best, key=lambda entry: -entry[0])[:2]
    assert [score for score, _, _ in found] == pytest.approx([score for score, _ in wanted])
    assert all((a[2] == b[1]).all() for a, b in zip(found, wanted, strict=True))
    picture = sheet.picture()
    assert (picture[10, 10] == palette(3)[0]).all() and (picture[210:290, 140:] == 255).all()


def test_what_is_no_data_is_of_no_cluster() -> None:
    """Neither a crop nor a share comes from it, however sure the model is there."""
    sheet = ClusterSheet(2, part=0.5)
    valid = np.zeros((8, 8), bool)
    valid[:, 4:] = True
    probability = np.where(valid, 0.6, 1.0)[None] * np.array([1, 0])[:, None, None]
    probability[1] = np.where(valid, 0.7, 0)
    sheet.add(np.zeros((8, 8, 3), np.uint8), probability, valid)
    assert sheet.pixels.tolist() == [0, 32] and not sheet._surest[0]


def test_only_what_moves_is_drawn(tmp_path: Path) -> None:
    """Constants, clocks and memory are left out; scores of a kind share a panel."""
    assert moves([1.0, 2.0]) and not moves([3.0]) and not moves([5.0] * 4)
    assert not moves([float("nan"), 1.0])
    panels = arranged(["accuracy", "lr/neck", "miou", "loss_mutual_information", "mine"])
    assert {title: list(names) for (title, _), names in panels.items()} == {
        "mutual information": ["loss_mutual_information"],
        "Scores with labels": ["accuracy", "miou"],
        "Learning rates": ["lr/neck"],
        "mine": ["mine"],
    }
    log = tmp_path / "scalars.json"
    lines = [dict(step=s, loss=1.0 / s, time=s, lr=1.0) for s in range(1, 9)]
    log.write_text("\n".join(json.dumps(line) for line in lines))
    plot_curves([log], tmp_path / "curves.png", 4, [(0, "superpixel"), (1, "head")])
    assert cv2.imread(str(tmp_path / "curves.png")) is not None
