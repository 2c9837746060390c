"""LocalSPNN: exactly N superpixels of any image, whatever it has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor

from sgseg.labelmaps.connectivity import enforce_connectivity, smallest_size
from sgseg.labelmaps.quality import achievable_accuracy
from sgseg.models.backbones import LocalSPNN
from sgseg.models.backbones.local_spnn import OPPONENT, smoothed
from sgseg.registry import MODELS


def patches(bands: int = 3, height: int = 40, width: int = 56) -> Tensor:
    """Standardised images of smooth patches."""
    noise = torch.randn(2, bands, 5, 6, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_record(bands: int) -> None:
    """Nine weights a pixel that sum to one, 8c features, an image; images apart."""
    model = LocalSPNN(bands, 12, base_channels=2).eval()
    x = patches(bands)
    found = model(x)
    assert found.assignment.weight.shape == (2, 9, 40, 56)
    assert found.assignment.shape == (2, 12, 40, 56)
    torch.testing.assert_close(found.assignment.weight.sum(1), torch.ones(2, 40, 56))
    assert found.feature.shape == (2, model.out_channels, 40, 56)
    assert found.reconstruction.shape == x.shape
    alone = model(x[1:]).assignment.weight
    torch.testing.assert_close(found.assignment.weight[1:], alone, atol=1e-4, rtol=0)


def test_n_is_free() -> None:
    """By attribute and by call, on any size, with the same weights; never a dead superpixel."""
    model = LocalSPNN(3, 12, base_channels=2).eval()
    for height, width in ((40, 56), (33, 21)):
        for count in (2, 7, 50):
            x = patches(3, height, width)
            owner = model(x, count).assignment.labels()
            assert all(len(one.unique()) == count for one in owner)
            model.num_superpixels = count
            assert torch.equal(model(x).assignment.labels(), owner)
    with pytest.raises(ValueError, match="500 superpixels on 8 x 8"):
        model(patches(3, 8, 8), 500)


def test_what_is_learned_joins_the_distance() -> None:
    """The learned channels get gradients from the first step, and move borders."""
    torch.manual_seed(0)
    model, x = LocalSPNN(3, 6, base_channels=2, temperature=0.5), patches()
    before = model(x).assignment.weight
    (before**2).mean().backward()
    learned = model.classifier.weight.grad[: model.learned_channels]
    assert (learned.flatten(1).abs().sum(1) > 0).all()
    with torch.no_grad():
        model.classifier.weight[: model.learned_channels] *= 40
    assert (model(x).assignment.weight - before).abs().max() > 0.1


def test_opponent_bands_are_nearly_lab() -> None:
    """Differences of colours agree with Lab's to a few units."""
    pixels = np.random.default_rng(0).random((40, 40, 3)) * 0.6 + 0.2
    lab = rgb2lab(pixels).reshape(-1, 3)
    linear = pixels.reshape(-1, 3) @ np.array(OPPONENT).T
    error = (lab - lab.mean(0)) - (linear - linear.mean(0))
    assert (error.std(0) < np.array([3.0, 8.0, 8.0])).all()
    assert (lab.std(0) > np.array([8.0, 15.0, 20.0])).all()


def test_smoothing() -> None:
    """A Gaussian of the stated deviation that keeps sums inside and flat borders."""
    x = torch.zeros(1, 1, 31, 31, dtype=torch.float64)
    x[0, 0, 15, 15] = 1
    y = smoothed(x, 1.5)[0, 0]
    offset = torch.arange(31.0) - 15
    assert y.sum() == pytest.approx(1)
    assert float((y.sum(0) * offset.square()).sum()) == pytest.approx(1.5**2, rel=0.05)
    torch.testing.assert_close(smoothed(torch.ones(1, 2, 3, 2), 2.0), torch.ones(1, 2, 3, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    """Under autocast the division is that of float32: only the trunk is rounded."""
    model, x = LocalSPNN(3, 12, base_channels=2).eval(), patches()
    with torch.autocast("cpu", dtype):
        found = model(x)
    assert found.assignment.dtype == torch.float32
    torch.testing.assert_close(found.assignment.weight, model(x).assignment.weight)


def test_regions_of_an_image() -> None:
    """Two halves with noise, tuned to nothing: N connected regions that keep to the halves."""
    generator = torch.Generator().manual_seed(0)
    truth = (torch.arange(60) >= 33).long().expand(40, 60)
    x = 2.0 * truth + 0.3 * torch.randn(1, 3, 40, 60, generator=generator)
    owner = LocalSPNN(3, 10, base_channels=2).eval()(x).assignment.labels()[0].numpy()
    regions = enforce_connectivity(owner, smallest_size(40, 60, 10), 10)
    assert regions.max() + 1 == 10
    assert achievable_accuracy(regions, truth.numpy()) > 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_superpixels=1), "num_superpixels = 1"),
        (dict(temperature=0.0), "temperature"),
        (dict(smoothing=-1.0), "smoothing = -1"),
        (dict(stride=0), "stride"),
        (dict(cells=0), "cells"),
    ],
)
def test_wrong_parameter_is_refused(options: dict[str, Any], message: str) -> None:
    """The message names the parameter and its value."""
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type="LocalSPNN") | options)


def test_wrong_image_is_refused() -> None:
    """The message shows the shape and says to set in_channels."""
    with pytest.raises(ValueError, match=r"expected images \(B, 3, H, W\).*set in_channels"):
        LocalSPNN()(torch.zeros(2, 4, 8, 8))
