"""Connected superpixels: what is promised of any label map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as skimage_label

from sgseg.labelmaps.connectivity import connected_pieces, enforce_connectivity, smallest_size

TRIALS = settings(max_examples=150, deadline=None, database=None, derandomize=True)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps divide the pixels alike, whatever the numbers."""
    pairs = set(zip(one.ravel().tolist(), other.ravel().tolist()))
    return len(pairs) == len(np.unique(one)) == len(np.unique(other))


def random_map(height: int, width: int, labels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, labels, (height, width))


@TRIALS
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    labels=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_pieces_are_those_of_scikit_image(height: int, width: int, labels: int, seed: int) -> None:
    """The same partition as an independent labelling, numbered in reading order."""
    given_ = random_map(height, width, labels, seed)
    found = connected_pieces(given_)
    assert same_partition(found, skimage_label(given_, connectivity=1, background=-1))
    first = np.unique(found, return_index=True)[1]
    assert (np.diff(first) > 0).all() and found.min() == 0


@TRIALS
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    labels=st.integers(1, 5),
    seed=st.integers(0, 2**16),
    min_size=st.integers(1, 30),
    most=st.one_of(st.none(), st.integers(1, 8)),
)
def test_regions_are_connected_large_and_few_enough(
    height: int, width: int, labels: int, seed: int, min_size: int, most: int | None
) -> None:
    """Every region is one piece of min_size pixels, at most so many; twice is once."""
    given_ = random_map(height, width, labels, seed)
    found = enforce_connectivity(given_, min_size, most)
    sizes = np.bincount(found.ravel())
    assert found.shape == given_.shape and (sizes > 0).all()
    assert connected_pieces(found).max() + 1 == len(sizes)  # each label is one piece
    assert sizes.min() >= min_size or len(sizes) == 1
    assert most is None or len(sizes) <= most
    np.testing.assert_array_equal(enforce_connectivity(found, min_size, most), found)
    # Pieces are joined, never divided.
    pieces = connected_pieces(given_)
    assert len(set(zip(pieces.ravel(), found.ravel()))) == pieces.max() + 1


def test_whole_regions_are_left_alone() -> None:
    """A map of large connected regions only gets new numbers."""
    given_ = np.repeat(np.repeat([[7, 3], [3, 9]], 3, 0), 3, 1)
    found = enforce_connectivity(given_, 9)
    assert found[::3, ::3].tolist() == [[0, 1], [2, 3]]  # the two 3s only touch at a corner


def test_the_longest_border_wins() -> None:
    """A speck goes to the neighbour round most of it, not to the largest."""
    given_ = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1, 1, 2, 1, 0, 0],
            [1, 1, 1, 1, 0, 0],
        ]
    )
    assert enforce_connectivity(given_, 2)[1, 2] == enforce_connectivity(given_, 2)[2, 2]


def test_specks_grow_together_before_they_are_given_away() -> None:
    """Smallest first, and sizes count what was joined."""
    given_ = np.array([[0, 1, 2, 3, 3, 3, 3, 3, 3]])
    assert enforce_connectivity(given_, 3).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1, 1]]


def test_at_most_so_many() -> None:
    """Joining goes on, smallest first, until the number is reached."""
    given_ = np.repeat([[0, 1, 2, 3]], [1, 2, 3, 4], 1)
    assert enforce_connectivity(given_, 1, 2).tolist() == [[0] * 6 + [1] * 4]


def test_a_photograph_of_noise_ends() -> None:
    """A map of 150 thousand specks is joined down to what was asked."""
    found = enforce_connectivity(random_map(321, 481, 200, 0), smallest_size(321, 481, 200), 200)
    sizes = np.bincount(found.ravel())
    assert len(sizes) <= 200 and sizes.min() >= smallest_size(321, 481, 200) == 46


def test_wrong_arguments_are_refused() -> None:
    """The message shows the shape or the number."""
    with pytest.raises(ValueError, match=r"\(2, 2, 2\)"):
        enforce_connectivity(np.zeros((2, 2, 2), int))
    with pytest.raises(ValueError, match="max_regions = 0"):
        enforce_connectivity(np.zeros((2, 2), int), 1, 0)
