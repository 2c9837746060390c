"""Pixels are counted as scikit-learn counts them, and no wrong value is dropped in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from sgseg.evaluation.confusion import ConfusionCounts

CPU = torch.device("cpu")


def counted(predicted: Any, truth: Any, clusters: int, classes: int) -> np.ndarray:
    """The matrix of one image."""
    counts = ConfusionCounts(1, clusters, classes, CPU)
    counts.add(0, torch.as_tensor(predicted), torch.as_tensor(truth))
    return counts.take()[0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
@pytest.mark.parametrize(("clusters", "classes"), [(4, 3), (3, 7), (1, 4), (4, 1)])
def test_counts_equal_sklearn(dtype: torch.dtype, clusters: int, classes: int) -> None:
    """Summed over images of different sizes, apart for each part, ignored pixels left out."""
    g = torch.Generator().manual_seed(0)
    counts = ConfusionCounts(2, clusters, classes, CPU)
    expected = np.zeros((2, clusters, classes), np.int64)
    labels = range(max(clusters, classes))
    for number, side in enumerate((3, 8, 5)):
        predicted = torch.randint(clusters, (side, 6), generator=g)
        truth = torch.randint(classes, (side, 6), generator=g)
        truth[torch.rand(truth.shape, generator=g) < 0.3] = 255
        counts.add(number % 2, predicted.to(dtype), truth.to(dtype))
        whole = confusion_matrix(truth.flatten(), predicted.flatten(), labels=labels).T
        expected[number % 2] += whole[:clusters, :classes]
    np.testing.assert_array_equal(counts.take(), expected)
    assert counts.take().dtype == np.int64


def test_byte_maps_do_not_overflow() -> None:
    """Byte maps with many classes are counted in the right cell."""
    found = counted(np.array([26], np.uint8), np.array([25], np.uint8), 27, 27)
    assert found[26, 25] == 1 and found.sum() == 1


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([4, 0], [0, 0], "1 scored pixels have cluster values outside 0..3"),
        ([-1, 0], [0, 0], "1 scored pixels have cluster values"),
        ([0, 0], [3, 254], "2 have label values outside 0..2"),
        ([0, 0], [-1, 0], "1 have label values"),
        ([0.0, 1.0], [0, 0], "must be whole numbers"),
        ([0, 0, 0], [0, 0], r"\(3,\) and truth \(2,\) differ in shape"),
    ],
)
def test_impossible_maps_are_refused(predicted: Any, truth: Any, message: str) -> None:
    """On the CPU with the image that holds them."""
    with pytest.raises(ValueError, match=message):
        counted(predicted, truth, 4, 3)


def test_ignored_pixels_are_not_looked_at() -> None:
    """255 is left out whatever is predicted there; an image of nothing else adds nothing."""
    assert counted([77, -5, 1], [255, 255, 2], 4, 3).sum() == 1
    assert counted([0, 1], [255, 255], 2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
