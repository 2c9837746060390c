"""Band statistics of the training set: measured once, saved, used in inference."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sgseg.datasets import ImageFolder
from sgseg.engine import SetStatisticsHook
from sgseg.models import ImagePreprocessor
from sgseg.training import train
from tests.field.scenes import draw_nodata, scene


def test_measured_values_are_those_of_the_images(tmp_path: Path, tiny_config: Any) -> None:
    """Mean and deviation equal NumPy's over all pixels, and stand in the checkpoint."""
    config = tiny_config(
        tmp_path,
        **{"train_cfg.max_epochs": 1, "model.data_preprocessor.standardise": "set"},
    )
    config.custom_hooks.append(dict(type="SetStatisticsHook"))
    runner = train(config)
    dataset = runner.train_dataloader.dataset
    pixels = np.stack([dataset[i]["inputs"].numpy() for i in range(len(dataset))]) / 255.0
    saved = torch.load(tmp_path / "epoch_1.pth", weights_only=True)["state_dict"]
    mean, std = (saved[f"data_preprocessor.{name}"].flatten() for name in ("mean", "std"))
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-5)


def test_one_scale_for_all_images() -> None:
    """A darker image stays darker, and a constant band gives no infinity."""
    preprocessor = ImagePreprocessor(bands=2, standardise="set")
    preprocessor.set_statistics(torch.tensor([0.2, 0.4]), torch.tensor([0.1, 0.0]))
    image = torch.full((2, 2, 3, 3), 0.4)
    image[1] = 0.1
    out = preprocessor.normalise(image)
    torch.testing.assert_close(out[:, 0].mean((1, 2)), torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(out[:, 1].mean((1, 2)), torch.tensor([0.0, -0.3]))


def test_too_few_images() -> None:
    """Zero images have no mean."""
    with pytest.raises(ValueError, match="images = 0"):
        SetStatisticsHook(0)


def test_pixels_without_data_are_not_counted(tmp_path: Path) -> None:
    """Rasters whose upper third is declared as nodata have the statistics of the rest."""
    draw_nodata(tmp_path, count=3)
    transforms = [dict(type="PackInputs")]
    loader = SimpleNamespace(dataset=ImageFolder(str(tmp_path), transforms=transforms))
    model = SimpleNamespace(data_preprocessor=ImagePreprocessor(standardise="set"))
    logger = SimpleNamespace(info=lambda text: None)
    runner: Any = SimpleNamespace(model=model, train_dataloader=loader, iter=0, logger=logger)
    SetStatisticsHook().before_train(runner)
    seen = np.stack([scene(seed)[0][20:] for seed in range(3)]) / 255.0
    mean, std = model.data_preprocessor.mean.flatten(), model.data_preprocessor.std.flatten()
    np.testing.assert_allclose(mean, seen.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std, seen.std((0, 1, 2)), rtol=1e-5)
