"""Superpixel measures against pixel-by-pixel loops, hand-made cases and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.measure import regionprops
from skimage.morphology import dilation
from skimage.segmentation import find_boundaries
from sklearn.metrics.cluster import contingency_matrix

from sgseg.labelmaps.classical import classical_superpixels
from sgseg.labelmaps.quality import (
    achievable_accuracy,
    boundaries,
    boundary_precision,
    boundary_radius,
    boundary_recall,
    compactness,
    explained_variation,
    overlap,
    quality,
    undersegmentation_error,
)

TRIALS = settings(max_examples=60, deadline=None, database=None, derandomize=True)
SIZES = dict(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    regions=st.integers(1, 6),
    segments=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)


def maps(
    height: int, width: int, regions: int, segments: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two random label maps with gaps in their numbering."""
    rng = np.random.default_rng(seed)
    first = 3 * rng.integers(0, regions, (height, width))
    return first, 2 * rng.integers(0, segments, (height, width)) + 1


def pixels_of(labels: np.ndarray) -> list[set[tuple[int, int]]]:
    """Each region as a set of pixels."""
    found: dict[int, set[tuple[int, int]]] = {}
    for place, label in np.ndenumerate(labels):
        found.setdefault(int(label), set()).add(place)
    return list(found.values())


def loop_boundary(labels: np.ndarray) -> set[tuple[int, int]]:
    """Pixels with a 4-neighbour of another label, one by one."""
    height, width = labels.shape
    found = set()
    for y, x in np.ndindex(height, width):
        for a, b in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= a < height and 0 <= b < width and labels[a, b] != labels[y, x]:
                found.add((y, x))
    return found


def loop_near(wanted: set, given_: set, radius: int) -> float:
    """Share of ``wanted`` within the square of a pixel of ``given_``."""
    hits = [
        any(abs(y - a) <= radius and abs(x - b) <= radius for a, b in given_) for y, x in wanted
    ]
    return sum(hits) / len(hits) if hits else 1.0


@TRIALS
@given(**SIZES)
def test_areas_equal_a_loop_over_pixel_sets(
    height: int, width: int, regions: int, segments: int, seed: int
) -> None:
    """ASA and the three undersegmentation errors, by set intersections."""
    ours, truth = maps(height, width, regions, segments, seed)
    S, G, N = pixels_of(ours), pixels_of(truth), ours.size
    asa = sum(max(len(s & g) for g in G) for s in S) / N
    pairs = sum(min(len(s & g), len(s - g)) for s in S for g in G if s & g) / N
    simple = sum(min(len(s - g) for g in G) for s in S) / N
    levin = sum((sum(len(s) for s in S if s & g) - len(g)) / len(g) for g in G) / len(G)
    assert achievable_accuracy(ours, truth) == pytest.approx(asa)
    assert undersegmentation_error(ours, truth) == pytest.approx(pairs)
    assert undersegmentation_error(ours, truth, "simple") == pytest.approx(simple)
    assert undersegmentation_error(ours, truth, "levinshtein") == pytest.approx(levin)
    assert overlap(ours, truth).sum() == N


@TRIALS
@given(**SIZES, radius=st.integers(0, 3))
def test_boundaries_equal_a_loop_over_neighbours(
    height: int, width: int, regions: int, segments: int, seed: int, radius: int
) -> None:
    """Recall and precision, pixel by pixel."""
    ours, truth = maps(height, width, regions, segments, seed)
    one, other = loop_boundary(ours), loop_boundary(truth)
    assert set(zip(*np.nonzero(boundaries(ours)))) == one
    assert boundary_recall(ours, truth, radius) == pytest.approx(loop_near(other, one, radius))
    assert boundary_precision(ours, truth, radius) == pytest.approx(loop_near(one, other, radius))


@TRIALS
@given(**SIZES, bands=st.integers(1, 4))
def test_compactness_and_variation_equal_a_loop(
    height: int, width: int, regions: int, segments: int, seed: int, bands: int
) -> None:
    """Perimeters counted side by side, variances about the means pixel by pixel."""
    ours, _ = maps(height, width, regions, segments, seed)
    image = np.random.default_rng(seed).random((height, width, bands))
    co, between = 0.0, 0.0
    mean = image.mean((0, 1))
    for region in pixels_of(ours):
        sides = sum(
            (y + dy, x + dx) not in region
            for y, x in region
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
        co += len(region) / ours.size * 4 * math.pi * len(region) / sides**2
        colour = np.mean([image[place] for place in region], 0)
        between += len(region) * ((colour - mean) ** 2).sum()
    total = ((image - mean) ** 2).sum()
    assert compactness(ours) == pytest.approx(co)
    assert explained_variation(ours, image) == pytest.approx(between / total if total else 1.0)


def test_a_photograph_by_other_libraries() -> None:
    """At real size: scikit-learn's contingency table, scikit-image's boundaries and regions."""
    image = data.coffee()[100:220, 200:360]
    ours = classical_superpixels(image, 60, "slic")
    truths = [classical_superpixels(image, n, "fh") for n in (12, 30)]
    areas = {region.label - 1: region.area for region in regionprops(ours + 1)}
    expected: dict[str, list[float]] = {name: [] for name in ("asa", "ue", "br", "bp")}
    square = np.ones((3, 3), bool)
    for truth in truths:
        table = contingency_matrix(truth.ravel(), ours.ravel())  # (G, S)
        expected["asa"].append(table.max(0).sum() / ours.size)
        expected["ue"].append(np.minimum(table, table.sum(0) - table).sum() / ours.size)
        of_truth, of_ours = (find_boundaries(m, connectivity=1) for m in (truth, ours))
        expected["br"].append((of_truth & dilation(of_ours, square)).sum() / of_truth.sum())
        expected["bp"].append((of_ours & dilation(of_truth, square)).sum() / of_ours.sum())
    mean = image.mean((0, 1))
    between = sum(
        area * ((image[ours == number].mean(0) - mean) ** 2).sum() for number, area in areas.items()
    )
    found = quality(ours, truths, image, 1)
    for name, values in expected.items():
        assert found[name] == pytest.approx(np.mean(values))
        assert found[f"best_{name}"] == pytest.approx(min(values) if name == "ue" else max(values))
    assert found["ev"] == pytest.approx(between / ((image - mean) ** 2).sum())


def test_perfect_superpixels() -> None:
    """S = G: nothing lost, nothing leaked, every boundary found and none invented."""
    truth = np.repeat(np.repeat(np.arange(6).reshape(2, 3), 4, 0), 5, 1)
    assert achievable_accuracy(truth, truth) == 1
    for kind in ("neubert_protzel", "simple", "levinshtein"):
        assert undersegmentation_error(truth, truth, kind) == 0
    assert boundary_recall(truth, truth, 0) == boundary_precision(truth, truth, 0) == 1


def test_one_superpixel_for_everything() -> None:
    """No boundary is recalled, the largest segment is all that can be had."""
    truth = np.array([[0, 0, 0, 1]] * 4)
    one = np.zeros((4, 4), int)
    assert boundary_recall(one, truth) == 0
    assert boundary_precision(one, truth) == 1  # it claims none
    assert achievable_accuracy(one, truth) == 0.75
    assert undersegmentation_error(one, truth) == pytest.approx((4 + 4) / 16)
    levinshtein = undersegmentation_error(one, truth, "levinshtein")
    assert levinshtein == pytest.approx((4 / 12 + 12 / 4) / 2)
    assert compactness(one) == pytest.approx(math.pi / 4)


def test_quadrants_of_a_half_and_half_image() -> None:
    """Dividing segments costs precision alone; the halves' colours are explained completely."""
    truth = np.repeat([[0, 1]], 8, 0).repeat(4, 1)
    quadrants = truth + 2 * (np.arange(8)[:, None] >= 4)
    assert achievable_accuracy(quadrants, truth) == 1
    assert undersegmentation_error(quadrants, truth) == 0
    assert boundary_recall(quadrants, truth, 0) == 1
    assert boundary_precision(quadrants, truth, 0) < 1
    assert explained_variation(quadrants, truth[..., None]) == 1


def test_tolerance() -> None:
    """A boundary two pixels off is recalled at radius 2 and not at radius 0; BSDS has radius 1."""
    truth = (np.arange(12) >= 6)[None].repeat(12, 0).astype(int)
    ours = (np.arange(12) >= 8)[None].repeat(12, 0).astype(int)
    assert [boundary_recall(ours, truth, r) for r in (0, 1, 2)] == [0, 0.5, 1]
    assert boundary_radius(321, 481) == boundary_radius(481, 321) == 1
    assert boundary_recall(ours, truth) == 0  # a small image has no tolerance


@TRIALS
@given(**SIZES)
def test_numbers_of_labels_do_not_matter(
    height: int, width: int, regions: int, segments: int, seed: int
) -> None:
    """Renumbered, mirrored or transposed together, every measure stays."""
    ours, truth = maps(height, width, regions, segments, seed)
    image = np.random.default_rng(seed).random((height, width, 3))
    expected = quality(ours, [truth], image, 1)
    names = np.random.default_rng(seed).permutation(1000)
    changed = [
        (names[ours], names[truth], image),
        (names[ours] * 10**6, truth, image),
        (ours[:, ::-1], truth[:, ::-1], image[:, ::-1]),
        (ours.T, truth.T, image.transpose(1, 0, 2)),
    ]
    for regions_, truth_, image_ in changed:
        assert quality(regions_, [truth_], image_, 1) == pytest.approx(expected)


@TRIALS
@given(**SIZES)
def test_bounds_and_refinement(
    height: int, width: int, regions: int, segments: int, seed: int
) -> None:
    """All but Levinshtein's lie in [0, 1], and dividing superpixels never costs ASA, BR or EV."""
    ours, truth = maps(height, width, regions, segments, seed)
    image = np.random.default_rng(seed).random((height, width, 3))
    finer = ours * 2 + np.random.default_rng(seed + 1).integers(0, 2, ours.shape)
    coarse, fine = quality(ours, [truth], image), quality(finer, [truth], image)
    bounded = {k: v for k, v in coarse.items() if "levinshtein" not in k}
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in bounded.values())
    assert coarse["co"] <= math.pi / 4 + 1e-12
    assert coarse["ue"] >= undersegmentation_error(ours, truth, "simple") - 1e-12
    for name in ("asa", "br", "ev"):
        assert fine[name] >= coarse[name] - 1e-12
    assert undersegmentation_error(ours, truth, "simple") == pytest.approx(1 - coarse["asa"])


def test_several_annotators() -> None:
    """The mean over annotators, and measure by measure the one who is suited best."""
    ours = np.array([[0, 0, 1, 1]] * 2)
    truths = [np.array([[0, 0, 1, 1]] * 2), np.array([[0, 1, 1, 1]] * 2)]
    found = quality(ours, truths, np.ones((2, 4, 3)), 0)
    assert found["asa"] == pytest.approx((1 + 0.75) / 2) and found["best_asa"] == 1
    assert found["ue"] == pytest.approx((0 + 0.5) / 2) and found["best_ue"] == 0
    assert found["br"] == pytest.approx((1 + 0.5) / 2) and found["best_br"] == 1
    assert found["ev"] == 1  # nothing to explain
    with pytest.raises(ValueError, match="at least one annotator"):
        quality(ours, [], np.ones((2, 4, 3)))


@pytest.mark.parametrize(
    ("regions", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "differ in size"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "integers >= 0, got float64"),
        (np.full((2, 3), -1), np.zeros((2, 3), int), "integers >= 0"),
        (np.zeros((1, 2, 3), int), np.zeros((2, 3), int), r"\(1, 2, 3\)"),
    ],
)
def test_wrong_maps_are_refused(regions: np.ndarray, truth: np.ndarray, message: str) -> None:
    """Nothing is broadcast or cast in silence."""
    with pytest.raises(ValueError, match=message):
        achievable_accuracy(regions, truth)


def test_unknown_variant_and_unequal_boundaries_are_refused() -> None:
    """The message names the variants; boundaries of two sizes are not compared."""
    zeros = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match="neubert_protzel"):
        undersegmentation_error(zeros, zeros, "corrected")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ in size"):
        boundary_recall(zeros, np.zeros((3, 3), int))
