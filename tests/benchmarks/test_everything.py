"""Recording and comparing goals."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from benchmarks import Goal, Result, Row, everything
from sgseg.cost.result import OF_TIMES


def measured(speed: float, memory: float) -> dict[str, object]:
    goals = [Goal("speed", speed, ">=", 3.0), Goal("memory", memory, "<=", 0.5)]
    return {"loss": Result("losses", [Row("ours", {"s": 1.0})], {}, goals).content()}


def test_goals_say_whether_they_are_reached() -> None:
    """A missed goal reads as missed, in the text and in the table."""
    result = Result("t", [], {}, [Goal("a", 2.0, ">=", 3.0), Goal("b", 0.4, "<=", 0.5)])
    assert "a: 2, wanted >= 3: missed" in result.text()
    assert "b: 0.4, wanted <= 0.5: reached" in result.text()


def test_a_second_device_fills_its_own_column(tmp_path: Path) -> None:
    """Figures of a CPU stay when those of a GPU come, and the text around the table too."""
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n{everything.START}\nold\n{everything.END}\nafter\n")
    everything.record(tmp_path, "CPU", measured(2.0, 0.4))
    first = page.read_text()
    assert first.startswith("# Before\n") and first.endswith("after\n") and "old" not in first
    assert "| loss | speed | ≥ 3 | 2 (missed) | not measured |" in first
    everything.record(tmp_path, "GPU", measured(4.0, 0.6))
    assert "| loss | speed | ≥ 3 | 2 (missed) | 4 |" in page.read_text()
    assert "| loss | memory | ≤ 0.5 | 0.4 | 0.6 (missed) |" in page.read_text()
    kept = json.loads((tmp_path / "performance.json").read_text())
    assert kept["CPU"]["loss"]["machine"]["cores"] >= 1


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten that was not marked."""
    (tmp_path / "performance.md").write_text("# My own page\n")
    with pytest.raises(ValueError, match="wants one line"):
        everything.record(tmp_path, "CPU", measured(2.0, 0.4))
    assert not (tmp_path / "performance.json").exists()


def test_only_what_got_worse_is_a_regression() -> None:
    """Better, equal, a little worse and newly measured pass; clearly worse does not."""
    recorded = {"CPU": measured(4.0, 0.4)}
    assert everything.compare(measured(5.0, 0.3), recorded, "CPU") == []
    assert everything.compare(measured(3.7, 0.43), recorded, "CPU") == []
    assert everything.compare(measured(1.0, 9.0), {}, "CPU") == []
    assert len(everything.compare(measured(3.0, 0.5), recorded, "CPU")) == 2
    assert everything.compare(measured(4.0, 0.9), recorded, "CPU") == [
        "loss: memory: 0.9, recorded 0.4"
    ]


def test_ratios_of_times_may_differ_more() -> None:
    """They depend on the machine; a third less is no regression, half is."""

    def timed(ratio: float) -> dict[str, object]:
        goals = [Goal("time", ratio, ">=", 2.0, OF_TIMES)]
        return {"graph": Result("graph", [], {}, goals).content()}

    recorded = {"CPU": timed(8.7)}
    assert everything.compare(timed(6.3), recorded, "CPU") == []
    assert len(everything.compare(timed(4.3), recorded, "CPU")) == 1


def test_every_benchmark_runs_without_arguments() -> None:
    """One command measures all: none but `data` wants an argument."""
    parser = ArgumentParser()
    everything.add_arguments(parser)
    names = [name for name, _, _ in everything._benchmarks(parser.parse_args([]))]
    assert "data" not in names and "everything" not in names
    chosen: Namespace = parser.parse_args(["--only", "data", "--coco", "x"])
    assert [o.source for _, _, o in everything._benchmarks(chosen)] == ["x"]
