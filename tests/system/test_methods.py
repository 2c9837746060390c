"""Every method trains, is scored, and segments images of another size, from its own config."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sgseg.inference import Segmenter
from sgseg.training import build_config, train
from tests.conftest import ROOT
from tests.engine.test_clustering import SMALL, without_pictures
from tests.system.test_commands import run

WIDTH = {"ac": {"model.decode_head.base_channels": 4}, "kmeans": {}}
EXTRA = {"doersch": {"model.task.side": 3}, "isola": {"model.task.side": 3}}
METHODS = ("iic", "ac", "doersch", "isola", "infoseg", "inmars", "random_cnn", "kmeans")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_from_config_to_label_map(method: str, tmp_path: Path) -> None:
    """Two epochs, eval.json with the protocol of SGSeg's runs, and a label map of an image."""
    path = ROOT / f"configs/{method}/{method}_mosaic.py"
    options = SMALL | WIDTH.get(method, {"model.backbone.base_channels": 2})
    options |= EXTRA.get(method, {}) | {"train_dataloader.batch_size": 4}
    if method not in ("random_cnn", "kmeans"):
        options |= {"train_cfg.max_epochs": 2, "train_cfg.val_interval": 2}
    config = without_pictures(path, work_dir=tmp_path, seed=2, options=options)
    runner = train(config)
    record = json.loads((tmp_path / "eval.json").read_text())
    assert record["protocol"]["dataset"] == "TextureMosaic" and record["pixels"] == 6 * 24 * 24
    checkpoint = tmp_path / f"epoch_{runner.epoch}.pth"
    config = build_config(path, seed=2, options=options)
    segmenter = Segmenter(checkpoint, config, side=30)
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    labels, state = segmenter(image)
    assert labels.shape == (40, 50) and set(segmenter.classes) == {"brick", "grass", "gravel"}
    assert state.probability.shape[1] == 3


def test_classes_are_set_from_the_command_line(tmp_path: Path) -> None:
    """--num-classes reaches head and metric of every method; --data every loader."""
    for method in METHODS:
        path = ROOT / f"configs/{method}/{method}_folder.py"
        (tmp_path / "labels").mkdir(exist_ok=True)
        config = build_config(path, data=tmp_path, num_classes=7, seed=3)
        assert config.model.decode_head.num_classes == config.val_evaluator.num_clusters == 7
        assert config.train_dataloader.dataset.root == str(tmp_path)
        assert config.model.seed == 3


@pytest.mark.slow
def test_kmeans_on_two_processes(tmp_path: Path) -> None:
    """Each rank samples its share, rank 0 fits, and every image is scored once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    options = [f"{key}={value}" for key, value in SMALL.items()]
    options += ["train_dataloader.batch_size=4"]
    arguments = ["configs/kmeans/kmeans_mosaic.py", "2", "--work-dir", str(tmp_path)]
    out = run("bash", "tools/dist_train.sh", *arguments, "--cfg-options", *options)
    record = json.loads((tmp_path / "eval.json").read_text())
    assert record["images"] == 6 and record["usage_entropy"] > 0
    assert f"3 centres from {8 * 24 * 24} pixels" in out


def test_a_folder_without_labels(tmp_path: Path) -> None:
    """IIC trains on bare images and evaluates nothing; its label maps have the image's size."""
    rng = np.random.default_rng(0)
    for number in range(4):
        picture = rng.integers(0, 255, (40, 44, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    config = build_config(
        ROOT / "configs/iic/iic_folder.py",
        data=tmp_path,
        num_classes=2,
        work_dir=tmp_path / "run",
        options={
            "model.backbone.base_channels": 2,
            "train_cfg.max_epochs": 2,
            "train_dataloader.batch_size": 2,
            "train_dataloader.num_workers": 0,
            "train_dataloader.sampler.images": None,
            "train_dataloader.persistent_workers": False,
            "train_dataloader.dataset.transforms.0.size": 32,
            "train_dataloader.dataset.transforms.1.size": 32,
        },
    )
    runner = train(config)
    assert (tmp_path / "run/epoch_2.pth").is_file()
    assert not (tmp_path / "run/eval.json").exists()
    assert runner.model.stage == "decode_head"
    assert all(p.isfinite().all() for p in runner.model.parameters())
    assert isinstance(runner.model.backbone.layers[0][0].weight, torch.nn.Parameter)
