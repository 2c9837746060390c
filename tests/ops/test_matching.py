"""Matching and scoring against brute force and scikit-learn."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from sgseg.ops.matching import UNMATCHED, hungarian, majority, scores


def counts(predicted: int, true: int, seed: int, most: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, most, (predicted, true))


def best_by_trial(table: np.ndarray) -> int:
    """The most pixels any one-to-one mapping keeps, by trying all of them."""
    rows, columns = table.shape
    if rows > columns:
        return best_by_trial(table.T)
    return max(
        sum(table[r, c] for r, c in enumerate(chosen))
        for chosen in permutations(range(columns), rows)
    )


def kept(table: np.ndarray, mapping: np.ndarray) -> int:
    return sum(table[r, c] for r, c in enumerate(mapping) if c != UNMATCHED)


def labels(pixels: int, predicted: int, true: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, predicted, pixels), rng.integers(0, true, pixels)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    predicted=st.integers(1, 6),
    true=st.integers(1, 6),
    most=st.sampled_from([2, 4, 1000]),  # small counts: many ties
    seed=st.integers(0, 2**16),
)
def test_hungarian_is_the_best_of_all_mappings(
    predicted: int, true: int, most: int, seed: int
) -> None:
    """One-to-one and no permutation keeps more pixels, also for unequal numbers and ties."""
    table = counts(predicted, true, seed, most)
    mapping = hungarian(table)
    used = mapping[mapping != UNMATCHED]
    assert mapping.shape == (predicted,) and len(used) == len(set(used)) == min(predicted, true)
    assert kept(table, mapping) == best_by_trial(table)


def test_hungarian_rows_are_predicted() -> None:
    """The mapping is read cluster -> class, not the other way round."""
    table = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]])
    assert hungarian(table).tolist() == [1, 2, 0]


def test_hungarian_with_more_clusters_than_classes() -> None:
    """Clusters left over are unmatched and their pixels count as wrong."""
    table = np.array([[5, 0], [4, 1], [0, 3]])
    mapping = hungarian(table)
    assert mapping.tolist() == [0, UNMATCHED, 1]
    assert scores(table, mapping).accuracy == pytest.approx(8 / 13)


@pytest.mark.parametrize("table", [np.zeros((3, 3), int), np.ones((3, 3), int)])
def test_ties_still_give_a_permutation(table: np.ndarray) -> None:
    """Equal or empty counts are matched one to one all the same."""
    assert sorted(hungarian(table)) == [0, 1, 2]


def test_empty_cluster_and_empty_class() -> None:
    """An unused cluster takes the class without pixels and costs nothing."""
    table = np.array([[7, 0, 0], [0, 0, 0], [0, 0, 2]])
    mapping = hungarian(table)
    assert mapping.tolist() == [0, 1, 2]
    found = scores(table, mapping)
    assert found.accuracy == 1 and found.miou == 1
    assert np.isnan(found.class_accuracy[1]) and np.isnan(found.class_iou[1])


@pytest.mark.parametrize(
    "bad", [np.zeros(3), np.zeros((0, 2)), np.zeros((2, 0)), np.zeros((1, 2, 2))]
)
def test_matching_refuses_what_is_no_table(bad: np.ndarray) -> None:
    """Anything but a (clusters, classes) matrix is refused with its shape."""
    for function in (hungarian, majority):
        with pytest.raises(ValueError, match=r"\(clusters, classes\)"):
            function(bad)


def test_matching_refuses_fractions() -> None:
    """Shares are no counts; whole numbers stored as floats are."""
    with pytest.raises(ValueError, match="holds counts, got fractions"):
        hungarian([[0.5, 0.5], [1.0, 0.0]])
    assert hungarian([[0.0, 2.0], [3.0, 0.0]]).tolist() == [1, 0]


def test_majority_is_many_to_one() -> None:
    """Each cluster takes its most frequent class; an empty one takes none."""
    table = np.array([[5, 1], [4, 3], [0, 0]])
    assert majority(table).tolist() == [0, 0, UNMATCHED]


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(predicted=st.integers(1, 6), true=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_majority_keeps_at_least_as_much(predicted: int, true: int, seed: int) -> None:
    """Free choice never scores below one-to-one."""
    table = counts(predicted, true, seed) + 1
    assert kept(table, majority(table)) >= kept(table, hungarian(table))


@pytest.mark.parametrize("many_to_one", [False, True])
@pytest.mark.parametrize("predicted, true", [(5, 5), (8, 3), (3, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_sklearn(predicted: int, true: int, many_to_one: bool, seed: int) -> None:
    """Accuracy, IoU and recall of the mapped prediction are scikit-learn's."""
    rows, columns = labels(300, predicted, true, seed)
    table = np.zeros((predicted, true), int)
    np.add.at(table, (rows, columns), 1)
    mapping = majority(table) if many_to_one else hungarian(table)
    found, mapped = scores(table, mapping), mapping[rows]
    classes = list(range(true))
    iou = metrics.jaccard_score(columns, mapped, labels=classes, average=None, zero_division=0)
    recall = metrics.recall_score(columns, mapped, labels=classes, average=None, zero_division=0)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(columns, mapped))
    np.testing.assert_allclose(found.class_iou, iou)
    np.testing.assert_allclose(found.class_accuracy, recall)
    assert found.miou == pytest.approx(iou.mean())


@pytest.mark.parametrize("mapping", [[0, 1], [0, 1, 2, 0], [0, 1, 3]])
def test_a_mapping_that_does_not_fit_is_refused(mapping: list[int]) -> None:
    """A cluster too few, one too many, and a class that is not there; each alone."""
    with pytest.raises(ValueError, match="does not fit 3 clusters and 3 classes"):
        scores(np.eye(3, dtype=int), mapping)


def test_miou_leaves_absent_classes_out() -> None:
    """A class that never occurs in the truth does not enter the mean; its claims lower others."""
    found = scores([[2, 0, 0], [0, 1, 0], [0, 1, 0]], [0, 1, 2])
    assert found.class_iou[:2].tolist() == [1.0, 0.5] and np.isnan(found.class_iou[2])
    assert found.miou == 0.75


def test_perfect_and_hopeless_predictions() -> None:
    """Scores reach one, and zero."""
    assert scores(np.diag([3, 2]), [0, 1])[:2] == (1.0, 1.0)
    assert scores(np.diag([3, 2]), [1, 0])[:2] == (0.0, 0.0)


def test_nothing_scored_is_nan() -> None:
    """Without a single labelled pixel there is no score."""
    found = scores(np.zeros((2, 2), int), [0, 1])
    assert np.isnan(found.accuracy) and np.isnan(found.miou)
