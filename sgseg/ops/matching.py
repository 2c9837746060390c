"""Match unnamed clusters to classes, and score them; NumPy and SciPy only.

Shapes: confusion (K_pred, K_true) int64, rows predicted, columns true.
Source: section 4.1 of the paper; protocol of IIC (Ji et al., ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

IGNORE = 255
"""The one label that is never scored."""
UNMATCHED = -1
"""The class of a cluster that no class was left for."""

IntArray = npt.NDArray[np.int64]


class Scores(NamedTuple):
    """Scores of a confusion matrix under one mapping, as fractions in [0, 1]."""

    accuracy: float
    miou: float
    """Mean over the classes that occur in the truth."""
    class_accuracy: npt.NDArray[np.float64]
    """(K_true,), nan for a class without a pixel."""
    class_iou: npt.NDArray[np.float64]


def hungarian(confusion: npt.ArrayLike) -> IntArray:
    """One-to-one mapping of clusters to classes that keeps the most pixels.

    Args:
        confusion: (K_pred, K_true) counts.

    Returns:
        (K_pred,) int64, the class of each cluster; -1 where there are more clusters than
        classes, and pixels of such a cluster count as wrong.
    """
    counts = _checked(confusion)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    mapping = np.full(counts.shape[0], UNMATCHED, dtype=np.int64)
    mapping[rows] = columns
    return mapping


def majority(confusion: npt.ArrayLike) -> IntArray:
    """Many-to-one mapping: each cluster takes its most frequent class; -1 for an empty cluster."""
    counts = _checked(confusion)
    return np.where(counts.sum(1) > 0, counts.argmax(1), UNMATCHED).astype(np.int64)


def named_accuracy(halves: npt.ArrayLike) -> float:
    """Accuracy of somebody who names each cluster after looking at half of the images.

    A cluster takes the class it mostly holds in one half, many to one, and its pixels of the other
    half are scored by that name; both ways, so every pixel is scored once. Pixels of a cluster
    that the named half lacks count as wrong.

    Args:
        halves: (2, K_pred, K_true) counts of the two halves.

    Returns:
        A fraction in [0, 1]; nan where a half has no pixel, for nothing is named then.
    """
    first, second = (_checked(half) for half in np.asarray(halves))
    if not first.any() or not second.any():
        return float("nan")
    ways = ((first, second), (second, first))
    hits = (scores(other, majority(named)).accuracy * other.sum() for named, other in ways)
    return float(sum(hits) / (first.sum() + second.sum()))


def scores(confusion: npt.ArrayLike, mapping: npt.ArrayLike) -> Scores:
    """Accuracy and intersection over union under a mapping.

    Args:
        confusion: (K_pred, K_true) counts.
        mapping: (K_pred,) classes, -1 for none.

    Returns:
        The scores, nan where nothing was scored.
    """
    counts, mapping = _checked(confusion), np.asarray(mapping)
    if mapping.shape != counts.shape[:1] or mapping.max(initial=0) >= counts.shape[1]:
        raise ValueError(
            f"scores: mapping {mapping.tolist()} does not fit {counts.shape[0]} clusters and "
            f"{counts.shape[1]} classes"
        )
    merged = np.zeros((counts.shape[1], counts.shape[1]), dtype=np.int64)  # class x class
    np.add.at(merged, mapping[mapping >= 0], counts[mapping >= 0])
    hit = np.diag(merged).astype(np.float64)
    truth, claimed = counts.sum(0), merged.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        class_accuracy = hit / truth
        class_iou = np.where(truth > 0, hit / (truth + claimed - hit), np.nan)
        accuracy = hit.sum() / truth.sum()
    present = class_iou[truth > 0]
    miou = present.mean() if present.size else np.nan
    return Scores(float(accuracy), float(miou), class_accuracy, class_iou)


def _checked(confusion: npt.ArrayLike) -> IntArray:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or 0 in counts.shape:
        raise ValueError(f"matching: expected a (clusters, classes) matrix, got {counts.shape}")
    if counts.dtype.kind not in "iu" and not np.equal(counts, counts.round()).all():
        raise ValueError("matching: a confusion matrix holds counts, got fractions")
    return counts.astype(np.int64)


def absence(absent: Sequence[str], classes: int, raw: Iterable[int] | None = None) -> str:
    """A sentence on classes without a pixel, with the likely cause.

    Args:
        absent: their names.
        classes: number of all classes.
        raw: values that the label maps hold, where they are known.
    """
    shown = ", ".join(absent[:8]) + (", ..." if len(absent) > 8 else "")
    sentence = (
        f"{len(absent)} of {classes} classes have no pixel in the scored set ({shown}): the score "
        "says nothing about them"
    )
    if (raw is None and classes - len(absent) == 1) or set(raw or ()) == {0, IGNORE}:
        maybe = "if the label maps are masks of 0 and 255, " if raw is None else ""
        why = "" if raw is None else "the label maps hold 0 and 255 alone, and "
        sentence += (
            f"; {maybe}{why}255 is ignored: write such masks with 0 and 1, or only one class is "
            "scored, and always right"
        )
    return sentence
