"""Unreadable images while training: a stop with the path, or so many replacements as allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader

from sgseg.datasets import DrawSampler, ImageFolder
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.io import BadFileError
from sgseg.training import build_config, train
from tests.conftest import ROOT, TINY


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Eight images, numbers 2, 3 and 6 broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.full((32, 32, 3), 10 * number, np.uint8))
        if number in (2, 3, 6):
            path.write_bytes(path.read_bytes()[:50])
    return folder


def values(dataset: ImageFolder, workers: int) -> list[int]:
    """Grey value of every item of an epoch, in the order of the sampler."""
    sampler = DrawSampler(dataset, shuffle=True, seed=0)
    loader = DataLoader(
        dataset, 4, sampler=sampler, num_workers=workers, collate_fn=default_collate
    )
    return [int(value) for batch in loader for value in batch["inputs"][:, 0, 0, 0]]


@pytest.mark.parametrize("workers", [0, 2])
def test_stops_with_the_path_by_default(photographs: Path, workers: int) -> None:
    """A broken image ends the epoch with its path, from a worker process too."""
    with pytest.raises((BadFileError, RuntimeError), match=r"photos/[236]\.png"):
        values(ImageFolder(str(photographs)), workers)


def test_replaced_by_the_next_one(photographs: Path) -> None:
    """The next readable image takes the place, the same with any number of workers."""
    sets = [ImageFolder(str(photographs), max_bad_images=3) for _ in range(3)]
    found = [values(dataset, workers) for dataset, workers in zip(sets, (0, 1, 2))]
    assert found[0] == found[1] == found[2]
    assert sorted(found[0]) == [0, 10, 40, 40, 40, 50, 70, 70]
    for dataset in sets:
        assert dataset.bad_images == ["2", "3", "6"]


def test_more_than_allowed_stops(photographs: Path) -> None:
    """One more than allowed stops the run, and the message lists all of them."""
    dataset = ImageFolder(str(photographs), max_bad_images=2)
    for index in (2, 3, 2):
        dataset[index]
    with pytest.raises(BadFileError, match=r"6\.png.*bad image number 3, max_bad_images = 2.*2, 3"):
        dataset[6]


def test_evaluation_never_skips(photographs: Path) -> None:
    """A pipeline that packs labels refuses max_bad_images when it is built."""
    with pytest.raises(ValueError, match="an evaluation skips nothing"):
        ImageFolder(
            str(photographs),
            transforms=[dict(type="PackInputs", with_labels=True)],
            max_bad_images=1,
        )


def test_run_lists_them(photographs: Path, tmp_path: Path) -> None:
    """The run's record and its checkpoints name the images, a resumed run's too."""
    options: dict[str, Any] = {
        k: v for k, v in TINY.items() if "dataset" not in k and "val" not in k
    }
    options |= {
        "train_dataloader.num_workers": 1,
        "train_dataloader.sampler.images": None,
        "train_dataloader.batch_size": 2,
        "train_dataloader.dataset.max_bad_images": 3,
        "param_scheduler": None,
    }
    config = build_config(
        ROOT / "configs/sgseg/sgseg_diffgcn_folder.py",
        data=photographs,
        num_classes=2,
        work_dir=tmp_path / "run",
        options=options,
    )
    train(config)
    record = json.loads((tmp_path / "run/bad_images.json").read_text())
    assert record == dict(count=3, images=["2", "3", "6"])
    saved = load_checkpoint(tmp_path / "run/epoch_3.pth")
    assert saved["meta"]["bad_images"] == ["2", "3", "6"]
    assert all(torch.isfinite(weight).all() for weight in saved["state_dict"].values())
