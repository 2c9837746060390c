"""SLIC, FH, SEEDS and grid behind one function."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from sgseg.labelmaps.classical import classical_superpixels, grid
from sgseg.labelmaps.quality import achievable_accuracy

HERE = ("slic", "fh", "grid")


def regions(bands: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A 60 x 80 image of three flat regions with a little noise, and the regions."""
    truth = np.zeros((60, 80), int)
    truth[:, 33:] = 1
    truth[27:, 33:] = 2
    rng = np.random.default_rng(seed)
    colours = np.eye(max(bands, 3))[:, :bands] * 0.8 + 0.1
    return (colours[truth] + 0.02 * rng.standard_normal((60, 80, bands))).clip(0, 1), truth


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("method", HERE)
def test_about_as_many_as_asked(method: Any, bands: int, recwarn: pytest.WarningsRecorder) -> None:
    """Any bands, the same twice, near the number asked, and no warning for what is meant."""
    image, _ = regions(bands)
    found = classical_superpixels(image, 24, method)
    assert found.shape == (60, 80) and found.dtype == np.int64 and found.min() == 0
    assert 12 <= len(np.unique(found)) <= 48
    np.testing.assert_array_equal(classical_superpixels(image, 24, method), found)
    assert not recwarn.list


@pytest.mark.parametrize("method", ["slic", "fh"])
def test_they_follow_the_image_and_a_grid_does_not(method: Any) -> None:
    """Flat regions are kept apart by what looks at the image."""
    image, truth = regions()
    assert achievable_accuracy(classical_superpixels(image, 24, method), truth) > 0.99
    assert achievable_accuracy(classical_superpixels(image, 24, "grid"), truth) < 0.97


@pytest.mark.parametrize("method", HERE)
def test_bytes_and_floats_are_one_image(method: Any) -> None:
    """uint8 and its value over 255 give the same superpixels."""
    image = (regions()[0] * 255).astype(np.uint8)
    np.testing.assert_array_equal(
        classical_superpixels(image, 12, method), classical_superpixels(image / 255.0, 12, method)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (5, 3), (64, 3)])
@pytest.mark.parametrize("method", HERE)
def test_tiny_and_thin_images(method: Any, size: tuple[int, int]) -> None:
    """Fewer pixels than superpixels, flat or not, give a label for every pixel."""
    for image in (np.zeros((*size, 3)), np.random.default_rng(0).random((*size, 3))):
        found = classical_superpixels(image, 200, method)
        assert found.shape == size and found.min() >= 0


@pytest.mark.parametrize(
    ("size", "count", "expected"),
    [((10, 20), 8, (2, 4)), ((20, 10), 8, (4, 2)), ((9, 9), 10, (3, 3)), ((1, 7), 3, (1, 3))],
)
def test_grid_cells(size: tuple[int, int], count: int, expected: tuple[int, int]) -> None:
    """Nearly square cells of nearly one size, no more than asked."""
    found = grid(*size, count)
    assert (len(np.unique(found[:, 0])), len(np.unique(found[0]))) == expected
    sizes = np.bincount(found.ravel())
    assert len(sizes) == expected[0] * expected[1] <= count
    assert sizes.max() <= 2 * sizes.min()


def test_seeds_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opencv-contrib the message says how to get it and what else there is."""
    monkeypatch.delattr(cv2, "ximgproc", raising=False)
    with pytest.raises(RuntimeError, match=r"opencv-contrib-python\), or use slic or fh"):
        classical_superpixels(regions()[0], 8, "seeds")


def test_seeds_with_contrib() -> None:
    """With opencv-contrib, superpixels that follow the image."""
    if not hasattr(cv2, "ximgproc"):
        pytest.skip("needs opencv-contrib-python")
    image, truth = regions()
    assert achievable_accuracy(classical_superpixels(image, 24, "seeds"), truth) > 0.97


def test_seeds_hands_over_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV is given width before height, bytes in Lab, and its labels come back."""
    calls: list[Any] = []

    class Fake:
        def iterate(self, pixels: np.ndarray, rounds: int) -> None:
            calls.append((pixels.shape, pixels.dtype, rounds))

        def getLabels(self) -> np.ndarray:
            return np.ones((60, 80), np.int32)

    def create(*arguments: Any) -> Fake:
        calls.append(arguments)
        return Fake()

    fake = SimpleNamespace(createSuperpixelSEEDS=create)
    monkeypatch.setattr(cv2, "ximgproc", fake, raising=False)
    found = classical_superpixels(regions()[0], 24, "seeds")
    assert found.shape == (60, 80) and found.dtype == np.int64
    assert calls[0][:4] == (80, 60, 3, 24)
    assert calls[1] == ((60, 80, 3), np.uint8, 10)


@pytest.mark.parametrize("method", ["slic", "grid"])
def test_one_superpixel(method: Any) -> None:
    """The least that can be asked for."""
    assert classical_superpixels(regions()[0], 1, method).max() == 0


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4), {}, r"expected \(H, W, C\)"),
        ((4, 4, 3), dict(count=0), "count = 0"),
        ((4, 4, 3), dict(method="watershed"), "method = 'watershed'"),
    ],
)
def test_wrong_arguments_are_refused(shape: Any, options: dict[str, Any], message: str) -> None:
    """The message names what was given."""
    with pytest.raises(ValueError, match=message):
        classical_superpixels(np.zeros(shape), **(dict(count=4) | options))
