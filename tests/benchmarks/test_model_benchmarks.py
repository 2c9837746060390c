"""The benchmarks of blocks, parts, steps and metric, at a size of seconds."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

import pytest
import torch

from benchmarks import Result
from benchmarks.step import share_in_products
from tests.conftest import ROOT

TINY = "configs/sgseg/sgseg_diffgcn_mosaic.py"


def measured(name: str, *arguments: str) -> Result:
    """What ``tools/benchmark.py name arguments`` finds."""
    module: Any = import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments))


@pytest.mark.parametrize("how", ["max", "mean"])
def test_graph(how: str) -> None:
    """Every block that makes its edges again stands beside itself with the edges kept."""
    size = ["--batch", "6", "--nodes", "60", "--knn", "10", "--channels", "32", "--repeats", "1"]
    rows = {row.name: row.values for row in measured("graph", *size, "--aggregation", how).rows}
    for block in ("DGCNN", "DiffGCN"):
        assert rows[f"{block}, ours"]["saved MB"] < 0.1 * rows[f"{block}, kept"]["saved MB"]
    assert {"PointNet, ours", "DGCNN, EdgeConv"} <= set(rows) and "PointNet, kept" not in rows


def test_edge_conv_is_the_same_block() -> None:
    """torch-geometric's layer gets weights that make it compute Eq 15."""
    graph: Any = import_module("benchmarks.graph")
    args = argparse.Namespace(batch=2, nodes=9, knn=3, channels=4, aggregation="max")
    torch.manual_seed(0)
    given = graph._inputs(args)
    ways = graph._blocks(args, given[2])["DGCNN"]
    assert set(ways) == {"ours", "kept", "EdgeConv"}
    for _, forward in ways.values():
        torch.testing.assert_close(forward(*given[:3]), ways["ours"][1](*given[:3]))


@pytest.mark.slow
def test_step() -> None:
    """Times, shares within bounds, and memory that recomputing lowers."""
    base = ["--config", str(ROOT / TINY), "--side", "32", "--repeats", "1", "--memory-batch", "2"]
    found = measured("step", *base, "--amp", "off")
    assert [row.name for row in found.rows] == ["float32, contiguous", "float32, channels_last"]
    for row in found.rows:
        assert 0 < row.values["in conv %"] < 100 and row.values["s/step"] > 0
    totals = []
    for checkpoint in ("none", "backbone", "both"):
        only = measured("step", *base, "--memory-only", "--checkpoint", checkpoint, "--amp", "on")
        assert only.rows == []
        totals.append(only.figures["total, GB, bfloat16"])
    assert totals[0] > totals[1] > totals[2]


def test_share_in_products() -> None:
    """A step that only multiplies matrices is nearly all product; one that adds has none."""
    a = torch.rand(400, 400)
    assert share_in_products(lambda: [a @ a for _ in range(20)]) > 0.5
    assert share_in_products(lambda: [a + a for _ in range(20)]) == 0


def test_model() -> None:
    """Every part, whose arithmetic adds up to that of the whole."""
    found = measured("model", "--config", str(ROOT / TINY), "--side", "32", "--repeats", "1")
    work = {row.name: row.values["GFLOP"] for row in found.rows}
    # Eight orders are read at inference; they share the head's stem and rebuild no image.
    before = work["backbone"] + work["neck"]
    assert before + work["head, order 1"] < work["whole"] < before + 8 * work["head, order 1"]
    assert work["head alone"] < work["whole"]


@pytest.mark.parametrize("name", ["step", "model"])
def test_another_method_is_not_taken_apart(name: str) -> None:
    """The message names the model and the benchmark that takes it."""
    with pytest.raises(ValueError, match=r"a model of IIC.*benchmark\.py runtimes"):
        measured(name, "--config", str(ROOT / "configs/iic/iic_mosaic.py"))


def test_metric() -> None:
    """Counting is set against inference and two plain ways."""
    size = ["--batch", "1", "--sides", "32", "--repeats", "1", "--classes", "3"]
    found = measured(
        "metric", "--config", str(ROOT / "configs/sgseg/sgseg_diffgcn_folder.py"), *size
    )
    assert [row.name.split(", ")[1] for row in found.rows] == [
        "inference",
        "HungarianMetric.process",
        "np.add.at",
        "sklearn confusion_matrix",
    ]
