"""The data commands as a user types them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import cv2
import pytest

from benchmarks import data
from sgseg.datasets import COCOStuff15
from sgseg.datasets.prepare import prepare_coco_stuff
from sgseg.training import build_config
from sgseg.training.browse import data_picture
from tests.conftest import ROOT
from tests.datasets import samples
from tests.system.test_commands import run

PYTHON = sys.executable


@pytest.mark.slow
def test_prepare_and_verify_from_the_command_line(tmp_path: Path) -> None:
    """prepare_data says what it wrote, verify_data ends 1 on a tree that was spoiled since."""
    tree, cache = samples.coco_tree(tmp_path / "tree", 3, 2), str(tmp_path / "cache")
    command = [PYTHON, "tools/prepare_data.py", "coco_stuff", str(tree), cache, "--all-images"]
    out = run(*command, "--workers", "1")
    assert "5 images" in out and "images/s" in out and "manifest sha256" in out
    path, report = tree / "images/val2017/000000001000.jpg", tmp_path / "report.json"
    os.truncate(path, 3000)
    verify = [PYTHON, "tools/verify_data.py", str(tree), "--workers", "1"]
    out = run(*verify, "--report", str(report), code=1)
    assert f"{path}: truncated" in out
    faults = json.loads(report.read_text())["faults"]
    assert [(fault["kind"], fault["path"]) for fault in faults] == [("truncated", str(path))]


@pytest.mark.slow
def test_benchmark_compares_in_one_run(tmp_path: Path) -> None:
    """The ways stand side by side with images/s and ratio, in a table and as JSON."""
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    sizes = dict(images=8, repeats=1, seconds=0.1, workers=0, epoch=640)
    given = [f"--{name}={value}" for name, value in sizes.items()]
    result = data.run(parser.parse_args([str(samples.coco_tree(tmp_path / "t", 3, 1)), *given]))
    result.write(tmp_path / "data.json")
    found = json.loads((tmp_path / "data.json").read_text())
    assert len(found["rows"]) == 4 and all(row["images/s"] > 0 for row in found["rows"])
    assert found["rows"][2]["x files"] == 1
    assert found["machine"]["cores"] and "memory growth over 640 items, MiB" in found["figures"]
    assert all(row["name"] in result.text() for row in found["rows"])


@pytest.mark.slow
def test_memory_is_flat_over_an_epoch(tmp_path: Path) -> None:
    """50,000 items from a cache: loader and worker grow by less than 50 MiB."""
    tree = samples.coco_tree(tmp_path / "tree", 40, 1)
    prepare_coco_stuff(tree, tmp_path / "cache", all_images=True)
    steps = [
        dict(type="Rescale", factor=0.33, interpolation="bilinear"),
        dict(type="CropTo", size=128, random=True),
        dict(type="PackInputs", with_labels=True),
    ]
    dataset = COCOStuff15(str(tmp_path / "cache"), transforms=steps)
    assert data.memory_growth(dataset, 1, 50_000) < 50


@pytest.mark.parametrize("split", ["train", "val"])
def test_browse_shows_labels_and_protocol(tmp_path: Path, split: str) -> None:
    """The picture shows labels in colour, training's too, and says which data and protocol."""
    tree = samples.coco_tree(tmp_path / "tree", 3, 2)
    prepare_coco_stuff(tree, tmp_path / "cache", all_images=True)
    config = build_config(ROOT / "configs/sgseg/sgseg_diffgcn_coco15.py", data=tmp_path / "cache")
    picture, summary = data_picture(config, split, 4)
    assert picture.ndim == 3 and len(set(map(tuple, picture.reshape(-1, 3)[::7]))) > 20
    for said in ("COCOStuff15, 5 items", "train2017, val2017", "factor=0.33", "manifest", "NOT"):
        assert said in summary
    # The description stays that of the config: the network is not given labels.
    assert ("with_labels=True" in summary) == (split == "val")
    assert cv2.imwrite(str(tmp_path / "p.png"), picture)
