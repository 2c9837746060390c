"""The superpixel report: what it writes, that it goes on, and the command."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sgseg.comparison.superpixel_methods import (
    Method,
    PerImageBudget,
    named_method,
    trained_methods,
)
from sgseg.comparison.superpixel_report import annotated_names, read_annotated, superpixel_report
from sgseg.labelmaps.classical import classical_superpixels, grid
from sgseg.models.backbones import FixedSuperpixels
from sgseg.registry import MODELS
from tests.system.test_commands import run


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """Five images with two or three annotators each, laid out as BSDS500."""
    rng = np.random.default_rng(0)
    for folder in ("images", "gt"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(5):
        size = (40, 60) if number % 2 else (60, 40)
        truth = grid(*size, 6)
        image = rng.integers(0, 255, (6, 3), dtype=np.uint8)[truth % 6]
        cv2.imwrite(str(tmp_path / "data/images" / f"{number}.jpg"), image)
        segs = np.stack([truth] * (2 + number % 2))
        segs[1] = truth // 2
        np.savez(tmp_path / "data/gt" / f"{number}.npz", segs=segs.astype(np.uint8))
    return tmp_path / "data"


def counted(calls: list[int], count: int = 6) -> Method:
    """A grid that notes every call."""

    def segment(image: np.ndarray) -> np.ndarray:
        calls.append(1)
        return grid(*image.shape[:2], count)

    return Method("counted", count, dict(a=1), segment)


def test_numbers_and_files(root: Path, tmp_path: Path) -> None:
    """Means over images of means over annotators, in three formats that agree, and a picture."""
    out = tmp_path / "out"
    (mean,) = superpixel_report(root, [counted([])], out)
    # The grid is annotator 0 (and 2) exactly; annotator 1 joined its cells two by two.
    assert mean["images"] == 5 and mean["asa"] == 1 and mean["ue"] == 0
    assert mean["br"] == 1 and mean["best_bp"] == 1 > mean["bp"]
    assert mean["regions"] == mean["live"] == mean["pieces"] == 6
    assert mean["size_median"] == mean["size_largest"] == 400 and mean["seconds"] > 0
    assert mean["cpu_seconds"] >= 0
    (row,) = csv.DictReader((out / "report.csv").open())
    assert {k: float(v) for k, v in row.items() if k != "method"} == pytest.approx(
        {k: v for k, v in mean.items() if k != "method"}
    )
    record = json.loads((out / "report.json").read_text())
    images = record["methods"][0]["images"]
    assert [one["name"] for one in images] == list("01234")
    assert mean["co"] == pytest.approx(np.mean([one["co"] for one in images]))
    assert record["machine"]["torch"] == torch.__version__
    table = (out / "report.md").read_text().splitlines()
    assert len(table) == 3 and len({line.count("|") for line in table}) == 1
    sheet = cv2.imread(str(out / "contact_sheet.png"))
    assert sheet is not None and sheet.shape[1] == 3 * 324 - 4  # image, annotator, method


def test_connectivity_is_enforced_and_counted(root: Path, tmp_path: Path) -> None:
    """Stripes of two labels are two superpixels, many pieces, and few enough regions."""

    def stripes(image: np.ndarray) -> np.ndarray:
        return (np.indices(image.shape[:2]).sum(0) // 4 % 2).astype(np.int64)

    (mean,) = superpixel_report(root, [Method("stripes", 4, {}, stripes)], tmp_path / "out")
    assert mean["live"] == 2 and mean["pieces"] > 20 and mean["regions"] == 4


def test_what_is_done_is_not_done_again(root: Path, tmp_path: Path) -> None:
    """A second call measures nothing; other settings, images or a lost file do."""
    calls: list[int] = []
    method = counted(calls)
    first = superpixel_report(root, [method], tmp_path / "out")
    assert superpixel_report(root, [method], tmp_path / "out") == first and len(calls) == 5
    superpixel_report(root, [method], tmp_path / "out", limit=3)
    assert len(calls) == 8
    other = Method(method.name, method.count, dict(a=2), method.segment)
    superpixel_report(root, [other], tmp_path / "out", limit=3)
    assert len(calls) == 11
    (tmp_path / "out/methods/counted_6.npz").unlink()
    superpixel_report(root, [other], tmp_path / "out", limit=3)
    assert len(calls) == 14


def test_a_stop_keeps_the_methods_before_it(root: Path, tmp_path: Path) -> None:
    """After an interruption the finished method is read back."""
    calls: list[int] = []

    def stops(image: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        superpixel_report(root, [counted(calls), Method("stops", 4, {}, stops)], tmp_path / "out")
    superpixel_report(root, [counted(calls)], tmp_path / "out")
    assert len(calls) == 5


def test_limit_is_spread_over_the_set(root: Path) -> None:
    """First and last image and those between, not the first few."""
    assert annotated_names(root, 3) == ["0", "2", "4"]
    assert annotated_names(root, 99) == annotated_names(root) == list("01234")
    item = read_annotated(root, "1")
    assert item.image.shape == (40, 60, 3) and item.truths.shape == (3, 40, 60)


def test_missing_annotations_are_named(root: Path, tmp_path: Path) -> None:
    """An image without segmentations, and a folder without images."""
    (root / "gt/3.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"gt/3\.npz and 0 more"):
        superpixel_report(root, [counted([])], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no images"):
        annotated_names(tmp_path)
    with pytest.raises(ValueError, match="no methods"):
        superpixel_report(root, [], tmp_path / "out")


def test_names(root: Path) -> None:
    """Classics and modes by name, with the settings that their results depend on."""
    image = read_annotated(root, "0").image
    budget = PerImageBudget(steps=2, side=16, width=4, seed=7)
    mode = named_method("rim", 6, budget)
    assert mode.settings["seed"] == 7 and mode.segment(image).shape == (60, 40)
    assert named_method("slic", 6, budget).settings == {}
    with pytest.raises(ValueError, match="choose among slic, seeds, fh, grid, rim"):
        named_method("watershed", 6, budget)


def test_a_trained_model(root: Path, tmp_path: Path, tiny_config: Any) -> None:
    """A checkpoint's backbone gives the argmax of P at the image's size."""
    config = tiny_config(tmp_path)
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "epoch_1.pth")
    image = read_annotated(root, "0").image
    (method,) = trained_methods(config, tmp_path / "epoch_1.pth", [4, 6])
    assert method.name == f"SPNN ({tmp_path.name})" and method.count == 8
    inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    seen = model.data_preprocessor(dict(inputs=inputs), False)["inputs"]
    with torch.no_grad():
        expected = model.backbone(seen).assignment.argmax(1)[0].numpy()
    np.testing.assert_array_equal(method.segment(image), expected)
    (small,) = trained_methods(config, tmp_path / "epoch_1.pth", [4], 16)
    assert small.segment(image).shape == (60, 40)
    config.model.backbone.num_superpixels = 9
    with pytest.raises(ValueError, match="does not fit"):
        trained_methods(config, tmp_path / "epoch_1.pth", [4])
    config.model.backbone = None
    with pytest.raises(ValueError, match="no backbone"):
        trained_methods(config, tmp_path / "epoch_1.pth", [4])


def test_a_checkpoint_at_every_count(root: Path, tmp_path: Path, tiny_config: Any) -> None:
    """A backbone whose N is free is one row a count, of one checkpoint."""
    config = tiny_config(tmp_path)
    config.model.backbone = dict(type="LocalSPNN", num_superpixels=8, base_channels=2)
    config.model.roll_coordinates = False
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "epoch_1.pth")
    methods = trained_methods(config, tmp_path / "epoch_1.pth", [4, 6])
    assert [method.count for method in methods] == [4, 6]
    image = read_annotated(root, "0").image
    for method in methods:
        labels = method.segment(image)
        assert labels.shape == image.shape[:2] and len(np.unique(labels)) == method.count
    (small,) = trained_methods(config, tmp_path / "epoch_1.pth", [4], 16)
    assert set(np.unique(small.segment(image))) == set(range(4))


def test_a_classic_at_its_best(root: Path) -> None:
    """Rows name what was chosen, where the method looks at it."""
    image = read_annotated(root, "0").image
    budget = PerImageBudget()
    slic = named_method("slic", 6, budget, 1.0, 5.0)
    assert slic.name == "slic (smoothing 1, compactness 5)"
    assert slic.settings == dict(smoothing=1.0, compactness=5.0)
    assert named_method("fh", 6, budget, 1.0, 5.0).name == "fh (smoothing 1)"
    assert named_method("grid", 6, budget, 1.0, 5.0).name == "grid"
    expected = classical_superpixels(image, 6, "slic", 5.0, 1.0)
    np.testing.assert_array_equal(slic.segment(image), expected)


def test_report_agrees_with_the_backbone(root: Path) -> None:
    """FixedSuperpixels and the report divide the same image alike: one code for both."""
    image = read_annotated(root, "1").image
    method = named_method("grid", 12, PerImageBudget())
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255.0
    owner = FixedSuperpixels(3, 12, "grid")(x).assignment.argmax(1)[0].numpy()
    np.testing.assert_array_equal(method.segment(image), owner)


@pytest.mark.slow
def test_command(root: Path, tmp_path: Path) -> None:
    """tools/superpixel_report.py prints the table and says where the rest is."""
    out = str(tmp_path / "out")
    command = [sys.executable, "tools/superpixel_report.py", str(root), "--out", out]
    said = run(*command, "--methods", "slic", "grid", "--counts", "6", "12", "--limit", "2")
    assert "| slic | 6 | 2 |" in said and "| grid | 12 | 2 |" in said
    assert f"{out}/report.json" in said
