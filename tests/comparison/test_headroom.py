"""The headroom of a graph: found where there is one, none where there is none."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sgseg.cli import main
from sgseg.comparison import headroom
from sgseg.comparison.headroom import Nodes, Probe, measure_headroom, nodes_of, read_nodes
from sgseg.comparison.headroom_report import demand_same_images, gain_of, headroom_table
from sgseg.comparison.protocol import ProtocolError
from sgseg.datasets import TextureMosaic
from sgseg.labelmaps.classical import classical_superpixels
from sgseg.labelmaps.connectivity import enforce_connectivity, smallest_size
from sgseg.ops.graph import knn
from sgseg.training import build_config

ONE = dict(blocks=("DGCNNBlock",), knn=3, seeds=(0,), channels=8, num_blocks=1, batch=4)
QUICK = Probe(**ONE, steps=30)


def made(count: int, seed: int = 0) -> list[Nodes]:
    """Images of noise whose classes nothing says: 20 nodes of one feature, equally large."""
    g = torch.Generator().manual_seed(seed)
    images = []
    for _ in range(count):
        position = 2 * torch.rand(20, 2, generator=g) - 1
        feature = torch.rand(20, 1, generator=g)
        counts = 9.0 * torch.nn.functional.one_hot(torch.randint(2, (20,), generator=g), 2)
        images.append(Nodes(position, feature, counts, knn(position[None], 3)[0]))
    return images


def relabelled(images: list[Nodes], truth: list[torch.Tensor]) -> list[Nodes]:
    return [
        each._replace(counts=9.0 * torch.nn.functional.one_hot(labels.long(), 2))
        for each, labels in zip(images, truth, strict=True)
    ]


def test_a_node_is_the_mean_and_deviation_of_its_region() -> None:
    """Region by region in NumPy; ignored pixels count nowhere, the others all do."""
    g = torch.Generator().manual_seed(0)
    image = torch.randint(256, (3, 24, 32), generator=g, dtype=torch.uint8)
    truth = torch.randint(3, (24, 32), generator=g)
    truth[:4] = 255
    nodes = nodes_of(image, truth, 3, Probe(num_superpixels=12, knn=2))
    pixels = image.movedim(0, 2).numpy()
    raw = classical_superpixels(pixels, 12)
    regions = enforce_connectivity(raw, smallest_size(24, 32, 12), 12)
    assert len(nodes.position) == regions.max() + 1
    assert nodes.counts.sum() == 20 * 32
    for region in range(regions.max() + 1):
        inside = regions == region
        colours = pixels[inside] / 255
        expected = [*colours.mean(0), *colours.std(0)]
        np.testing.assert_allclose(nodes.feature[region], expected, atol=1e-5)
        rows, columns = np.nonzero(inside)
        place = [(2 * columns.mean() + 1) / 32 - 1, (2 * rows.mean() + 1) / 24 - 1]
        np.testing.assert_allclose(nodes.position[region], place, atol=1e-5)
        assert nodes.counts[region].tolist() == [
            (truth.numpy()[inside] == label).sum() for label in range(3)
        ]


def test_further_features_are_pooled() -> None:
    """Maps of any kind give their means, for example the class probabilities of a model."""
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    truth = torch.zeros(16, 16, dtype=torch.long)
    ramp = torch.arange(256.0).view(1, 16, 16)
    probe = Probe(num_superpixels=9, knn=2)
    nodes = nodes_of(image, truth, 2, probe, lambda image: torch.cat([ramp, 2 * ramp]))
    assert nodes.feature.shape[1] == 3 + 3 + 2
    torch.testing.assert_close(nodes.feature[:, 7], 2 * nodes.feature[:, 6])
    sizes = nodes.counts.sum(1)
    assert float((nodes.feature[:, 6] * sizes).sum() / sizes.sum()) == pytest.approx(127.5)


def test_a_graph_gains_where_neighbours_decide() -> None:
    """A class that neighbours' colours tell: far above nodes alone, which are near chance."""
    images = made(16)
    truth = [each.feature[each.neighbours, 0].amax(1) > 0.8 for each in images]
    record = measure_headroom(relabelled(images, truth), Probe(**ONE, steps=60))
    assert gain_of(record, ("DGCNNBlock", False))[0] > 15
    assert record["headroom"]["graph"].startswith("DGCNN")


def test_place_gains_where_place_decides_and_noise_teaches_nothing() -> None:
    """Sky above: nodes that know their place; unlearnable classes stay near the majority."""
    images = made(16)
    placed = relabelled(images, [each.position[:, 1] > 0 for each in images])
    rows = {
        (row["block"], row["place"]): row["accuracy"][0]
        for row in measure_headroom(placed, QUICK)["rows"]
    }
    assert rows["PointNetBlock", True] > 90 > 70 > rows["PointNetBlock", False]
    record = measure_headroom(images, QUICK)
    for row in record["rows"]:  # scored on the other half: nothing is remembered
        assert row["accuracy"][0] < record["majority"] + 8 and record["bound"] == 100


def test_what_cannot_be_measured() -> None:
    """Each says what to do: block, images, superpixels, labels."""
    with pytest.raises(ValueError, match="GCN is no registered block"):
        Probe(blocks=["GCN"])
    with pytest.raises(ValueError, match="knn = 0"):
        Probe(knn=0)
    mosaic = TextureMosaic(
        length=3, size=32, transforms=[dict(type="PackInputs", with_labels=True)]
    )
    with pytest.raises(ValueError, match="3 images with labelled pixels"):
        read_nodes(mosaic, QUICK)
    with pytest.raises(ValueError, match="--num-superpixels"):
        read_nodes(mosaic, Probe(num_superpixels=4))
    config = build_config("sgseg_diffgcn_mosaic", size=32, training=False)
    assert headroom.scored_set(config)[0]["inputs"].shape == (3, 32, 32)
    config.test_evaluator = None
    with pytest.raises(ValueError, match="no labels to learn from"):
        headroom.scored_set(config)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """headroom.json holds what is printed, and fits a table on the same images alone."""
    monkeypatch.setattr(headroom, "Probe", partial(Probe, steps=2))
    given = ("headroom", "mosaic", "--limit", "4", "--size", "32", "--seeds", "2")
    assert main([*given, "--blocks", "DGCNNBlock", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "headroom.json").read_text())
    assert [len(row["accuracy"]) for row in record["rows"]] == [2] * 4
    printed = capsys.readouterr().out
    assert headroom_table(record) in printed and "| DGCNN + xy |" in printed
    demand_same_images(record, record["protocol"] | dict(clusters=3))
    with pytest.raises(ProtocolError, match="items: 256 and 9"):
        demand_same_images(record, record["protocol"] | dict(items=9))
