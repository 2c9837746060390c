"""Tiny configs that every system test shares."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from sgseg.training import build_config

ROOT = Path(__file__).parents[1]
TINY: dict[str, Any] = {
    "model.backbone.num_superpixels": 8,
    "model.backbone.base_channels": 2,
    "model.neck.channels": 4,
    "model.neck.knn": 3,
    "model.decode_head.base_channels": 4,
    "model.losses.mutual_information.half_window": 2,
    "train_cfg.max_epochs": 3,
    "train_cfg.val_begin": 1,
    "train_cfg.val_interval": 1,
    "param_scheduler.0.begin": 0,
    "train_dataloader.batch_size": 4,
    "train_dataloader.dataset.length": 8,
    "train_dataloader.dataset.size": 32,
    "val_dataloader.dataset.length": 6,
    "val_dataloader.dataset.size": 32,
    "test_dataloader.dataset.length": 6,
    "test_dataloader.dataset.size": 32,
    "default_hooks.pictures.count": 2,
    # Pictures of the last epoch only: they cost most of a tiny run.
    "default_hooks.pictures.interval": 99,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two test processes share two cores."""
    torch.set_num_threads(1)


def tiny_config(work_dir: Path, seed: int = 0, **options: Any) -> Config:
    """The mosaic recipe at a size that trains in seconds."""
    return build_config(
        ROOT / "configs/sgseg/sgseg_diffgcn_practical_mosaic.py",
        work_dir=work_dir,
        seed=seed,
        options=TINY | options,
    )


@pytest.fixture(name="tiny_config")
def tiny_config_fixture() -> Any:
    """`tiny_config(work_dir, seed=0, **overrides)`."""
    return tiny_config
