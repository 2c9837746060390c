"""Counting on a device gives the matrix that counting on the host gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sgseg.evaluation import HungarianMetric, hungarian
from sgseg.evaluation.device_counts import DeviceCounts
from sgseg.ops.matching import confusion

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_counts_are_the_confusion_matrix(dtype: torch.dtype) -> None:
    """Summed over images of different sizes, apart for each part, ignored pixels left out."""
    g = torch.Generator().manual_seed(0)
    counts = DeviceCounts(2, 4, 3, CPU)
    expected = np.zeros((2, 4, 3), np.int64)
    for number, side in enumerate((3, 8, 5)):
        predicted = torch.randint(4, (side, 6), generator=g)
        truth = torch.randint(3, (side, 6), generator=g)
        truth[torch.rand(truth.shape, generator=g) < 0.3] = 255
        counts.add(number % 2, predicted.to(dtype), truth.to(dtype))
        expected[number % 2] += confusion(predicted, truth, 4, 3)
    np.testing.assert_array_equal(counts.take(), expected)


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([4, 0], [0, 0], "1 scored pixels have cluster values outside 0..3"),
        ([-1, 0], [0, 0], "1 scored pixels have cluster values"),
        ([0, 0], [3, 254], "2 have label values outside 0..2"),
        ([0, 0], [-1, 0], "1 have label values"),
    ],
)
def test_values_out_of_range_are_found(predicted: Any, truth: Any, message: str) -> None:
    """When the counts are taken; nothing is dropped in silence."""
    counts = DeviceCounts(1, 4, 3, CPU)
    counts.add(0, torch.tensor(predicted), torch.tensor(truth))
    with pytest.raises(ValueError, match=message):
        counts.take()


def test_wrong_clusters_of_ignored_pixels_do_not_matter() -> None:
    """As on the host: an ignored pixel is not looked at."""
    counts = DeviceCounts(1, 4, 3, CPU)
    counts.add(0, torch.tensor([9, 1]), torch.tensor([255, 2]))
    assert counts.take().sum() == 1


def test_unequal_shapes_are_refused() -> None:
    """At once: shapes are known without waiting."""
    with pytest.raises(ValueError, match="differ in shape"):
        DeviceCounts(1, 4, 3, CPU).add(0, torch.zeros(2), torch.zeros(3))


def test_the_metric_scores_the_same_from_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of an evaluation is the same wherever its pixels were counted."""
    g = torch.Generator().manual_seed(0)
    items = [
        dict(
            pred=torch.randint(4, (5, 6), generator=g),
            gt=torch.randint(3, (5, 6), generator=g),
            index=index,
        )
        for index in range(5)
    ]
    records = []
    for on_host in (True, False):
        monkeypatch.setattr(hungarian, "_on_host", lambda labels, answer=on_host: answer)
        metric = HungarianMetric(4)
        metric.dataset_meta = dict(classes=["a", "b", "c"], subsets=dict(val=(1, 3)))
        for _ in range(2):  # an evaluation starts anew
            metric.process(None, items[:2])
            metric.process(None, items[2:])
            metric.evaluate(5)
        records.append(metric.record)
    assert records[0] == records[1]
