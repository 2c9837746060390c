"""Speed on many GPUs by its formula: counts and rates are given, so each term is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sgseg.cost import measure, scaling
from sgseg.cost.communication import Exchange, Volume
from sgseg.cost.scaling import Cluster, Parts, Run, Work, exchange_seconds, step_parts
from sgseg.training import build_config
from tests.conftest import ROOT

CLUSTER = Cluster(
    1e12, near=1e9, far=1e8, near_wait=1e-6, far_wait=1e-5, host=1e-5, disk=1e8, item=1e-6
)
REDUCED = {Exchange("gradients", "allreduce"): Volume(2, 4_000_000)}
GATHERED = {Exchange("normalisation", "allgather_base"): Volume(5, 1000)}


def test_a_ring_sends_twice_what_it_sums_and_all_of_what_it_gathers() -> None:
    """Hops by the logarithm of the processes, the slower link as soon as a machine is left."""
    assert exchange_seconds(REDUCED, 1, CLUSTER) == 0
    assert exchange_seconds(REDUCED, 8, CLUSTER) == pytest.approx(1.75 * 4e-3 + 2 * 2 * 3e-6)
    assert exchange_seconds(REDUCED, 16, CLUSTER) == pytest.approx(1.875 * 4e-2 + 2 * 2 * 4e-5)
    assert exchange_seconds(GATHERED, 8, CLUSTER) == pytest.approx(7 * 1e-6 + 5 * 3e-6)
    both = exchange_seconds(REDUCED | GATHERED, 64, CLUSTER)
    assert both == pytest.approx(sum(exchange_seconds(e, 64, CLUSTER) for e in (REDUCED, GATHERED)))


def test_a_step_takes_the_longest_of_what_goes_on_at_once() -> None:
    """Arithmetic or calls, then the exchange; reading beside them, by all GPUs of a machine."""
    work = Work(1e9, 60, 10, REDUCED)
    parts = step_parts(work, 4, 16, 1000.0, CLUSTER)
    assert parts == pytest.approx((4e-3, 1e-3, exchange_seconds(REDUCED, 16, CLUSTER), 3.2e-4))
    assert parts.seconds == pytest.approx(4e-3 + parts.exchange) and parts.limit == "exchange"
    assert Parts(1.0, 3.0, 0.5, 2.0).seconds == 3.5
    assert Parts(1.0, 3.0, 0.5, 9.0).seconds == 9 and Parts(1.0, 3.0, 0.5, 9.0).limit == "reading"


def test_hours_are_those_of_whole_steps_in_all_epochs() -> None:
    """Two stages of one and three epochs; speed and parts are means over epochs."""
    slow, fast = Parts(2.0, 0, 0, 0), Parts(1.0, 0, 0, 0)
    made = Run(4, 2, {"a": (1, slow), "b": (3, fast)})
    assert made.hours(83) == pytest.approx(10 * (2 + 3) / 3600)  # 83 images are ten steps of 8
    assert made.hours(3) == pytest.approx(5 / 3600)
    assert made.speed == pytest.approx(4 * 8 / 5) and made.parts().arithmetic == 1.25


def test_calls_are_counted() -> None:
    """Each, one that makes a tensor too."""
    with measure.CallCounter() as counter:
        torch.ones(3).add(1).mul(2)
    assert counter.calls == 3


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round numbers in the place of counts, which take a real step."""
    work = Work(1e11, 1000, 0, {Exchange("gradients", "allreduce"): Volume(1, 400_000)})
    stages = dict.fromkeys(("superpixel", "head", "segmentation"), work)
    monkeypatch.setattr(scaling, "count_work", lambda config: (stages, work._replace(exchanged={})))


def table(name: str, *given: Any) -> dict[str, dict[str, float]]:
    """Rows by name."""
    config = build_config(ROOT / f"configs/sgseg/sgseg_diffgcn_{name}.py")
    return {row.name: dict(row.values) for row in scaling.scaling_table(config, *given).rows}


def test_a_total_batch_is_shared_as_far_as_it_goes(counted: None) -> None:
    """Eight images on 1, 8 and 64 GPUs; predictions are independent of each other."""
    rows = table("mosaic", [1, 8, 64], [10**6])
    train = [values for name, values in rows.items() if name.startswith("train")]
    assert [name.split(", ")[2] for name in rows][:3] == [
        "batch 8: arithmetic",
        "batch 8: calls",
        "batch 64: calls",
    ]
    assert train[0]["% of linear"] == 100 > train[1]["% of linear"] > train[2]["% of linear"]
    assert train[0]["h, 1,000,000"] > train[1]["h, 1,000,000"] > train[2]["h, 1,000,000"]
    read = [values["images/s"] for name, values in rows.items() if name.startswith("predict")]
    assert read == pytest.approx([read[0], 8 * read[0], 64 * read[0]])


def test_an_epoch_that_draws_does_not_grow(counted: None) -> None:
    """256 images of a folder of any size: what is left is to read the files' headers."""
    (few,) = (v for n, v in table("folder", [1], [10**4, 10**8]).items() if n.startswith("train"))
    grown = few["h, 100,000,000"] - few["h, 10,000"]
    assert grown == pytest.approx(Cluster(1.0).file * (10**8 - 10**4) / 3600)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (([0], [1], 0.2), "--gpus 0: give 1 or more"),
        (([1], [0], 0.2), "--images 0: give 1 or more"),
        (([1], [1], 20.0), "--utilisation 20.0: a share of the peak rate"),
    ],
)
def test_what_makes_no_table_is_refused(given: Any, told: str) -> None:
    """By what was given, before anything is counted."""
    with pytest.raises(ValueError, match=told):
        table("mosaic", *given)
