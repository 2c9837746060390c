"""Windows of a large image, and what they blend into."""

import math
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sgseg.cost import measure
from sgseg.inference import Segmenter
from sgseg.inference.classes import ClassTable
from sgseg.inference.images import Reader
from sgseg.inference.network import Statistics, TorchNetwork
from sgseg.inference.tiling import blend, enlarged, image_statistics, to_unit, windows
from sgseg.inference.working_size import WorkingSize
from sgseg.io.rows import ArrayRows
from tests.inference.models import small_config, small_model


@settings(deadline=None)  # two cores may be busy
@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 20))
def test_windows_share_every_pixel(length: int, half_tile: int, half_overlap: int) -> None:
    """Shares add up to one; windows start even, fit, overlap as asked and fade to their borders."""
    tile = 2 * half_tile
    overlap = min(2 * half_overlap, tile // 4 * 2)
    found = windows(length, tile, overlap)
    total = torch.zeros(length)
    for window in found:
        assert window.start % 2 == 0
        assert window.stop - window.start <= max(tile, min(length, tile))
        total[window.start : window.stop] += window.weight
    torch.testing.assert_close(total, torch.ones(length))
    for one, next_one in pairwise(found):
        assert one.stop - next_one.start >= overlap
        margin = overlap // 4
        assert not next_one.weight[:margin].any()
        assert not one.weight[len(one.weight) - margin :].any()


def test_bad_windows_are_refused() -> None:
    """Sizes that would break the head's halving, or leave no inside, are named."""
    for tile, overlap in ((33, 8), (32, 7), (32, 18), (32, -2), (0, 0)):
        with pytest.raises(ValueError, match=f"tile = {tile}, overlap = {overlap}"):
            windows(100, tile, overlap)


def convolutional(standardise: str) -> TorchNetwork:
    """The head alone, whose pixels see no farther than 15 pixels."""
    config = small_config(
        **{
            "model.backbone": None,
            "model.neck": None,
            "model.roll_coordinates": False,
            "model.decode_head.in_channels": 3,
            "model.decode_head.multipliers": (1, 2),
            "model.data_preprocessor.standardise": standardise,
        }
    )
    return TorchNetwork(small_model(config), torch.device("cpu"))


def scene(height: int, width: int, bands: int = 3) -> np.ndarray:
    """Noise that grows brighter across the image, so that windows have other statistics."""
    rng = np.random.default_rng(0)
    light = np.linspace(0.2, 1, width)[None, :, None]
    return (rng.integers(0, 256, (height, width, bands)) * light).astype(np.uint8)


def gathered(network: TorchNetwork, image: np.ndarray, tile: int, overlap: int) -> Tensor:
    """The blended map of a whole image."""
    return torch.cat(list(blend(network, ArrayRows(image), tile, overlap)), 1)


@pytest.mark.parametrize("standardise", ["image", "set"])
def test_tiles_equal_the_whole_image(standardise: str) -> None:
    """Where no pixel sees beyond the overlap's outer quarter, tiling changes nothing at all.

    The statistics of ``standardise="image"`` are therefore those of the whole image.
    """
    network = convolutional(standardise)
    image = scene(202, 340)
    whole = network(to_unit(image)[None])[0]
    tiled = gathered(network, image, 128, 64)
    torch.testing.assert_close(tiled, whole, atol=2e-6, rtol=0)
    assert whole.std() > 0.05


def test_odd_sizes() -> None:
    """A size that the head cannot halve is stretched by a fraction of a pixel, no more."""
    network = convolutional("set")
    image = scene(201, 171)
    whole = network(to_unit(image)[None])[0]
    tiled = gathered(network, image, 128, 64)
    assert tiled.shape == whole.shape
    torch.testing.assert_close(tiled.sum(0), torch.ones(201, 171))
    assert (tiled.argmax(0) == whole.argmax(0)).float().mean() > 0.9


class Disagreeing:
    """A network that is sure of another class in every window it is asked about."""

    bands, standardises = 1, False

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """All class 0, then all class 1, then all class 0 ..."""
        self.calls += 1
        sure = torch.full_like(images, float(self.calls % 2))
        return torch.cat([sure, 1 - sure], 1)

    def state(self, images: Tensor) -> None:
        """Nothing."""


def test_no_seams() -> None:
    """Even between windows that contradict each other no step is higher than the taper's."""
    image = np.zeros((150, 205, 1), np.uint8)
    tile, overlap = 64, 24
    found = torch.cat(list(blend(Disagreeing(), ArrayRows(image), tile, overlap)), 1)[0]
    step = math.pi / 2 / (overlap - 2 * (overlap // 4))  # steepest slope of sin^2 over the ramp
    assert found.diff(dim=0).abs().max() <= step + 1e-6
    assert found.diff(dim=1).abs().max() <= step + 1e-6
    assert found.min() == 0
    assert found.max() == 1


class Watched(ArrayRows):
    """Remembers how many rows were asked for at a time."""

    largest = 0

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows."""
        self.largest = max(self.largest, stop - start)
        return super().rows(start, stop)


def test_one_row_of_windows_at_a_time() -> None:
    """However tall the image, no more rows are read, and given, than a window is tall."""
    source = Watched(np.zeros((500, 40, 1), np.uint8))
    heights = [band.shape[1] for band in blend(Disagreeing(), source, 32, 8)]
    assert source.largest == 32
    assert max(heights) <= 32
    assert sum(heights) == 500


@pytest.mark.parametrize(("low", "high"), [((37, 50), (90, 61)), ((64, 33), (40, 33))])
def test_enlarged_as_a_whole(low: tuple[int, int], high: tuple[int, int]) -> None:
    """Bands brought to another size are the map brought to that size."""
    whole = torch.rand(3, *low)

    def bands() -> Iterator[Tensor]:
        yield from whole.split([11, 1, low[0] - 13, 1], 1)

    found = torch.cat(list(enlarged(bands(), low[0], high)), 1)
    expected = F.interpolate(whole[None], high, mode="bilinear")[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_statistics_of_the_whole_image() -> None:
    """By bands of rows, the mean and deviation that the preprocessor takes over an image."""
    image = scene(77, 31, 4)
    mean, deviation = image_statistics(ArrayRows(image), rows=10)
    expected = torch.std_mean(to_unit(image)[None], (2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(deviation, expected[0])
    torch.testing.assert_close(mean, expected[1])


def test_windows_of_a_long_axis_cost_what_it_is_long() -> None:
    """Ten times the length takes ten times the memory, not a hundred times."""
    short = measure.peak_bytes(lambda: windows(20_000, 256, 64))
    long = measure.peak_bytes(lambda: windows(200_000, 256, 64))
    assert long < 12 * short
    assert long < 2**24


@pytest.mark.slow
def test_a_long_image_costs_its_labels_and_a_row_of_windows() -> None:
    """All that Python and torch allocate beside the labels grows by a few bytes a row."""

    def peak(height: int) -> int:
        source = Repeated((height, 64, 1))
        segmenter = Segmenter.__new__(Segmenter)
        table = ClassTable(np.arange(2, dtype=np.uint8), ["a", "b"], True)
        segmenter._set_up(Disagreeing(), table, Reader(1, None), WorkingSize(0), 64, 16, None, None)
        tracemalloc.start()
        tensors = measure.peak_bytes(lambda: segmenter.large(source))
        arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return tensors + arrays - height * 64

    assert peak(16_000) < 12 * peak(1_600)
    assert peak(16_000) < 64 * 16_000


class Repeated:
    """An image of any height that is nowhere."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of one value."""
        return np.zeros((stop - start, *self.shape[1:]), np.uint8)

    def valid(self, start: int, stop: int) -> None:
        """All is data."""
        return None
