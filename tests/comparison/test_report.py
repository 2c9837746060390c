"""The table beside the paper's, from results that are known."""

import csv
import io
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from sgseg.comparison.correlation import correlate, rank_correlation
from sgseg.comparison.protocol import ProtocolError, one_protocol
from sgseg.comparison.report import (
    Entry,
    line_of,
    selected_without_labels,
    write_report,
    write_times,
)
from sgseg.comparison.rows import Row, Table, load_table
from sgseg.comparison.runs import Run
from tests.conftest import ROOT

PROTOCOL = dict(
    dataset="COCOStuff15",
    items=10,
    transforms=["CropTo(size=128)", "PackInputs(with_labels=True)"],
    split=["train2017", "val2017"],
    clusters=15,
    ignore=255,
    matching="one-to-one",
)


def result(run: Run, accuracy: float, **more: Any) -> None:
    """Leave a finished run."""
    run.folder.mkdir(parents=True)
    (run.folder / "epoch_4.pth").write_bytes(b"x")
    (run.folder / "eval.json").write_text(json.dumps(dict(epoch=4)))
    epochs = [
        dict(epoch=3, accuracy=accuracy + 2, mutual_information=0.2, cluster_usage=0.5),
        dict(epoch=4, accuracy=accuracy, mutual_information=0.1, cluster_usage=0.9),
    ]
    content = dict(
        seed=run.seed,
        epoch=4,
        max_epochs=4,
        checkpoint="epoch_4.pth",
        checkpoint_bytes=1,
        accuracy=accuracy,
        miou=accuracy / 2,
        best=dict(epoch=1, accuracy=accuracy + 5),
        untrained=12.0,
        majority=11.0,
        training_seconds=90.0,
        collapsed=[],
        epochs=epochs,
        protocol=PROTOCOL,
    )
    (run.folder / "result.json").write_text(json.dumps(content | more))


def make_entry(root: Path, label: str, values: list[float], **more: Any) -> Entry:
    runs = tuple(Run(root / label, seed) for seed in range(len(values) + 1))
    for run, value in zip(runs, values):
        result(run, value, **more)
    return Entry(Row(label), "paper", 39.4, runs=runs)


def test_a_line_is_the_mean_of_its_seeds(tmp_path: Path) -> None:
    """Last and best apart, mean and deviation over seeds, the gap to the paper."""
    line = line_of(make_entry(tmp_path, "a", [30.0, 33.0, 36.0]))
    assert line["last"] == [30.0, 33.0, 36.0]
    assert line["gap"] == pytest.approx(33.0 - 39.4)
    assert line["best"] == [35.0, 38.0, 41.0]
    assert line["label_free"] == [32.0, 35.0, 38.0]  # epoch 3 has the higher information
    assert line["untrained"] == [12.0] * 3 and line["majority"] == 11.0
    assert line["minutes"] == [1.5] * 3 and line["epoch_seconds"] == [22.5] * 3
    assert line["notes"] == "1 of 4 seeds unfinished"


def test_selection_looks_at_no_label() -> None:
    """The epoch is chosen by the score alone; without scored epochs there is none."""
    epochs = [
        dict(epoch=1, accuracy=90.0, mutual_information=0.1),
        dict(epoch=2, mutual_information=0.9),
        dict(epoch=3, accuracy=20.0, mutual_information=0.3),
    ]
    assert selected_without_labels(dict(epochs=epochs)) == 20.0
    assert selected_without_labels(dict(epochs=epochs[1:2])) is None


def test_markdown_csv_and_plot(tmp_path: Path) -> None:
    """All three are written; what the paper lacks, what broke and what is not there is said."""
    table = Table("t", "Table T", "method", ())
    lines = [
        make_entry(tmp_path, "SGSeg", [30.0, 33.0, 36.0]),
        make_entry(tmp_path, "bad", [12.0], collapsed=["one_cluster"], max_epochs=9),
        Entry(Row("IIC"), "iic", 27.7),
        Entry(Row("far"), "paper", None, elsewhere=31.1),
    ]
    write_report(table, lines, tmp_path / "out", "Data: x.")
    text = (tmp_path / "out.md").read_text()
    assert "| SGSeg | paper | 39.4 | 33.00 ± 3.00 (3) | -6.4 | 38.00 ± 3.00 (3) |" in text
    assert "best epoch, selected with labels" in text and "n)" in text
    assert "collapse warned of in seed 0 (one_cluster)" in text and "stopped early" in text
    assert "| IIC | iic | 27.7 |" in text and "not in this toolkit yet" in text
    assert "(31.1 on COCO-Stuff)" in text
    assert "COCOStuff15, 10 images; split train2017 + val2017; CropTo(size=128)" in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [row["label"] for row in rows] == ["SGSeg", "bad", "IIC", "far"]
    assert float(rows[0]["last_sd"]) == statistics.stdev([30.0, 33.0, 36.0])
    assert rows[0]["last_seeds"] == "30 33 36" and rows[2]["last"] == ""
    assert cv2.imread(str(tmp_path / "out.png")) is not None


def test_a_table_of_costs_draws_accuracy_against_time(tmp_path: Path) -> None:
    """Another picture than that of the paper's tables; rows without runs are left out of it."""
    lines = [
        make_entry(tmp_path, "tiny", [30.0, 33.0, 36.0]),
        make_entry(tmp_path, "small", [35.0], training_seconds=400.0),
        Entry(Row("paper"), "paper", None),
    ]
    for cost in (False, True):
        write_report(Table("t", "T", "preset", (), cost=cost), lines, tmp_path / f"cost_{cost}", "")
    plain, costs = (cv2.imread(str(tmp_path / f"cost_{cost}.png")) for cost in (False, True))
    assert costs is not None and costs.shape != plain.shape
    assert "| 22.5 |" in (tmp_path / "cost_True.md").read_text()


def test_unequal_protocols_refuse_one_table(tmp_path: Path) -> None:
    """The error names both runs and what differs; nothing is written."""
    lines = [
        make_entry(tmp_path, "SGSeg", [30.0]),
        make_entry(tmp_path, "other", [33.0], protocol=PROTOCOL | dict(items=9)),
    ]
    with pytest.raises(
        ProtocolError, match=r"SGSeg \(paper, seed 0\) and other .* items: 10 and 9"
    ):
        write_report(Table("t", "T", "m", ()), lines, tmp_path / "out", "")
    assert not (tmp_path / "out.md").exists()


@pytest.mark.parametrize("key", sorted(PROTOCOL))
def test_every_part_of_a_protocol_counts(key: str) -> None:
    """Data, split, resizing, clusters, ignored label and matching; not a method's own input."""
    other = PROTOCOL | {key: ["ResizeWhole(size=128)"] if key == "transforms" else "other"}
    with pytest.raises(ProtocolError, match=key):
        one_protocol([("a", PROTOCOL), ("b", other)])
    sobel = [*PROTOCOL["transforms"][:1], "Sobel(include_rgb=True)", "PackInputs(with_labels=True)"]  # type: ignore[index]
    one_protocol([("a", PROTOCOL), ("b", PROTOCOL | dict(transforms=sobel))])


def test_headroom_stands_beside_the_row(tmp_path: Path) -> None:
    """The gain of the row's own block, supervised nodes below; of other images it is refused."""
    nodes = [
        dict(block="PointNetBlock", place=place, accuracy=[70.0, 72.0]) for place in (False, True)
    ]
    graph = dict(block="DGCNNBlock", place=True, accuracy=[73.0, 74.0], gain=[3.0, 2.0])
    best = dict(points=[3.0, 2.0], graph="DGCNN + xy", nodes="PointNet")
    record = dict(rows=[*nodes, graph], headroom=best, regions=60.0, bound=90.0)
    record["protocol"] = {key: PROTOCOL[key] for key in ("dataset", "items", "split")}
    record["protocol"]["transforms"] = PROTOCOL["transforms"]
    lines = [
        replace(make_entry(tmp_path, "DGCNN", [30.0]), block=("DGCNNBlock", True)),
        make_entry(tmp_path, "none", [31.0]),
    ]
    write_report(Table("t", "T", "m", ()), lines, tmp_path / "out", "Here.", record)
    text = (tmp_path / "out.md").read_text()
    assert "| headroom |" in text and "| 2.50 ± 0.71 (2) |" in text
    assert "Supervised nodes: PointNet 71.00" in text
    record["protocol"]["items"] = 9
    with pytest.raises(ProtocolError, match="items: 9 and 10"):
        write_report(Table("t", "T", "m", ()), lines, tmp_path / "out", "Here.", record)


def test_rank_correlation_and_its_report(tmp_path: Path) -> None:
    """Spearman across runs and within them; too few pairs and constant scores give none."""
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 900]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 1, 2]) == pytest.approx(-0.8)
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    with pytest.raises(FileNotFoundError, match="no finished run"):
        correlate(tmp_path)
    for seed, (accuracy, score) in enumerate([(10, 0.4), (20, 0.3), (30, 0.2), (40, 0.1)]):
        epochs = [
            dict(epoch=e, accuracy=accuracy + e, mutual_information=score + e / 100)
            for e in range(4)
        ]
        run = Run(tmp_path / "mosaic-tiny-paper-0", seed)
        result(run, accuracy + 3.0, epochs=epochs)
        better = [dict(epoch=0, accuracy=2 * accuracy, mutual_information=1 - score)]
        run = Run(tmp_path / "mosaic-tiny-practical-0", seed)
        result(run, 2.0 * accuracy, epochs=better)
    text = correlate(tmp_path)
    few = "too few (0) | too few (0)"  # agreement of orders, and beyond chance
    alone = "| mosaic-tiny, {} alone (4) | across runs, last epoch | " + few + " | {} (4) |"
    assert alone.format("paper", "-1.00") in text and alone.format("practical", "+1.00") in text
    assert "| mosaic-tiny (8) | across runs, last epoch | too few (0) | too few (0) | +0." in text
    assert (
        "| mosaic-tiny (8) | within a run, mean | too few (0) | too few (0) | +1.00 (4) |" in text
    )


def test_table_11_has_ratios(tmp_path: Path) -> None:
    """Times stand beside the paper's, and the ratio of the methods, which no machine changes."""
    table = load_table("table11", ROOT / "configs")
    measured = {"AC": {"training ms": 10.0}, "SGSeg": {"training ms": 25.0}}
    write_times(table, measured, tmp_path / "t", "Here.")
    text = (tmp_path / "t.md").read_text()
    assert "| SGSeg | 76.34 | 12.91 | 25.00 |" in text
    assert "| SGSeg / AC | 1.22 | 1.31 | 2.50 |" in text
