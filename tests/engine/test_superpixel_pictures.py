"""Superpixels alone: the config trains them from a folder without labels, and draws them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sgseg.engine import SuperpixelPictureHook
from sgseg.engine.hooks.superpixel_pictures import superpixel_strip
from sgseg.registry import MODELS
from sgseg.training import build_config, train
from tests.conftest import ROOT

CONFIG = ROOT / "configs/superpixels/local_spnn_folder.py"


def test_a_strip() -> None:
    """A row an image: image, borders, features; the model trains on as it was."""
    config = build_config(CONFIG)
    model = MODELS.build(config.model).train()
    images = torch.randint(0, 255, (2, 3, 40, 40), dtype=torch.uint8)
    strip = superpixel_strip(model, images)
    assert strip.dtype == np.uint8 and strip.shape[1] > 3 * 40
    assert model.training


def test_wrong_arguments_are_refused() -> None:
    """The message shows both."""
    with pytest.raises(ValueError, match="count = 0 and interval = 1"):
        SuperpixelPictureHook(count=0)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [False, True])
def test_trains_from_a_folder(tmp_path: Path, labels: bool) -> None:
    """Checkpoints and pictures; labels beside the images change nothing."""
    rng = np.random.default_rng(0)
    (tmp_path / "data/images").mkdir(parents=True)
    if labels:
        (tmp_path / "data/labels").mkdir()
    for number in range(4):
        image = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
        cv2.imwrite(str(tmp_path / f"data/images/{number}.png"), image)
    options = {
        "total_batch_size": 2,
        "train_dataloader.num_workers": 0,
        "train_dataloader.sampler.images": None,
    } | {
        "train_dataloader.persistent_workers": False,
        "train_dataloader.dataset.transforms.0.size": 64,
        "model.backbone.num_superpixels": 9,
    }
    config = build_config(
        CONFIG, data=tmp_path / "data", work_dir=str(tmp_path / "run"), epochs=1, options=options
    )
    train(config)
    assert (tmp_path / "run/epoch_1.pth").is_file()
    assert (tmp_path / "run/pictures/epoch_001.png").is_file()
