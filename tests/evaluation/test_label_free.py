"""Scores without labels, against loops over pixels and scikit-learn's kappa."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from sgseg.evaluation import LabelFreeScores
from sgseg.evaluation.label_free import NAMES


def by_hand(readings: np.ndarray, pred: np.ndarray, mirrored: np.ndarray) -> dict[str, float]:
    """The formulas of the module's docstring, pixel by pixel."""
    orders, images, classes, height, width = readings.shape
    places = list(itertools.product(range(images), range(height), range(width)))
    agreement, information, beyond = [], [], []
    for r, s in itertools.combinations(range(orders), 2):
        same, joint = 0, np.zeros((classes, classes))
        for b, y, x in places:
            same += readings[r, b, :, y, x].argmax() == readings[s, b, :, y, x].argmax()
            joint += np.outer(readings[r, b, :, y, x], readings[s, b, :, y, x]) / len(places)
        agreement.append(same / len(places))
        beyond.append(cohen_kappa_score(*(readings[n].argmax(1).ravel() for n in (r, s))))
        independent = np.outer(joint.sum(1), joint.sum(0))
        information.append((joint * np.log(joint / independent)).sum() / math.log(classes))
    own = [pred[b, :, y, x].argmax() for b, y, x in places]
    other = [mirrored[b, :, y, x].argmax() for b, y, x in places]
    share = np.bincount(own, minlength=classes) / len(places)
    entropy = -sum(p * math.log(p) for p in share if p > 0)
    return dict(
        order_agreement=float(np.mean(agreement)),
        order_kappa=float(np.mean(beyond)),
        mutual_information=float(np.mean(information)),
        cluster_usage=entropy / math.log(classes),
        largest_cluster=share.max(),
        flip_consistency=float(np.mean(np.equal(own, other))),
        flip_kappa=cohen_kappa_score(own, other),
    )


def test_scores_are_the_formulas() -> None:
    """Five images in batches of two and three, eight readings, four classes."""
    generator = torch.Generator().manual_seed(0)
    readings = torch.randn(8, 5, 4, 3, 6, generator=generator).mul(2).softmax(2)
    pred = torch.randn(5, 4, 3, 6, generator=generator).softmax(1)
    mirrored = torch.randn(5, 4, 3, 6, generator=generator).softmax(1)
    scores = LabelFreeScores(8, 4)
    for part in (slice(0, 2), slice(2, 5)):
        scores.add(readings[:, part], pred[part], mirrored[part])
    found = scores.scores()
    expected = by_hand(*(x.double().numpy() for x in (readings, pred, mirrored)))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name


def one_hot(classes: torch.Tensor, count: int = 3) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes, count).movedim(-1, 1).float()


def test_perfect_and_collapsed() -> None:
    """Even, certain and agreeing: all scores 1. Collapsed: agreement 1 too, the others tell."""
    even = one_hot(torch.arange(18).view(2, 3, 3) % 3)  # (2, 3, 3, 3)
    scores = LabelFreeScores(8, 3)
    scores.add(even.expand(8, -1, -1, -1, -1), even, even)
    found = scores.scores()
    assert [found[name] for name in NAMES] == pytest.approx([1.0] * 6, abs=1e-5)
    collapsed = one_hot(torch.zeros(2, 3, 3, dtype=torch.long))
    scores = LabelFreeScores(8, 3)
    scores.add(collapsed.expand(8, -1, -1, -1, -1), collapsed, collapsed)
    found = scores.scores()
    assert (found["order_agreement"], found["flip_consistency"], found["largest_cluster"]) == (
        1,
    ) * 3
    nothing = ("cluster_usage", "mutual_information", "order_kappa", "flip_kappa")
    assert [found[name] for name in nothing] == pytest.approx([0] * 4, abs=1e-5)


def test_one_reading_has_no_agreement() -> None:
    """A method that reads an image once has the scores that it can have."""
    even = one_hot(torch.arange(9).view(1, 3, 3) % 3)
    scores = LabelFreeScores(1, 3)
    scores.add(even[None], even, even)
    assert set(scores.scores()) == {
        *("cluster_usage", "largest_cluster", "flip_consistency", "flip_kappa")
    }
    with pytest.raises(ValueError, match="no image"):
        LabelFreeScores(2, 3).scores()
