"""Colour jitter, colour dropping and Sobel against colorsys, OpenCV and hand formulas."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from sgseg.datasets import Sobel
from sgseg.ops.photometry import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    drop_colours,
    grey,
    sobel,
)


def picture(count: int = 3, bands: int = 3, height: int = 5, width: int = 4) -> Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.rand(count, bands, height, width, generator=g, dtype=torch.float64)


def test_hue_is_that_of_the_standard_library() -> None:
    """Each image's hue is turned by its own share of the circle; grey and black stay."""
    image, turn = picture(), torch.tensor([-0.125, 0.0, 0.4], dtype=torch.float64)
    image[0, :, 0, 0], image[0, :, 0, 1] = 0.0, 0.5
    found = adjust_hue(image, turn)
    for b in range(3):
        for i in range(5):
            for j in range(4):
                h, s, v = colorsys.rgb_to_hsv(*image[b, :, i, j].tolist())
                expected = colorsys.hsv_to_rgb((h + turn[b].item()) % 1, s, v)
                np.testing.assert_allclose(found[b, :, i, j], expected, atol=1e-12)


def test_blends() -> None:
    """Brightness goes to black, contrast to the mean grey, saturation to grey; in [0, 1]."""
    image, factor = picture(), torch.tensor([0.6, 1.0, 1.4], dtype=torch.float64)
    luma = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    others = (0 * luma, luma.mean((1, 2), keepdim=True).expand_as(luma), luma)
    for operation, other in zip(
        (adjust_brightness, adjust_contrast, adjust_saturation), others, strict=True
    ):
        f = factor.view(-1, 1, 1, 1)
        expected = (f * image + (1 - f) * other[:, None]).clamp(0, 1)
        torch.testing.assert_close(operation(image, factor), expected)


@pytest.mark.parametrize(
    "operation", [adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue]
)
def test_infrared_stays(operation: object) -> None:
    """A fourth band is handed through untouched, and does not change the colours."""
    image, factor = picture(bands=4), torch.full((3,), 0.3, dtype=torch.float64)
    found = operation(image, factor)
    assert torch.equal(found[:, 3:], image[:, 3:])
    assert torch.equal(found[:, :3], operation(image[:, :3], factor))


def test_sobel_is_that_of_the_transform() -> None:
    """On the device and by OpenCV in the pipeline: the same two channels."""
    image = picture(1, height=9, width=8).float()
    results = dict(img=image[0].permute(1, 2, 0).numpy())
    expected = Sobel(include_rgb=False)(results)["img"]
    np.testing.assert_allclose(sobel(image)[0].permute(1, 2, 0), expected, atol=1e-6)


def test_sobel_of_a_ramp() -> None:
    """A slope of one along x answers -8 in x (the kernel falls to the right) and 0 in y."""
    ramp = torch.arange(6.0).expand(1, 3, 5, 6)
    inner = sobel(ramp)[0, :, 1:-1, 1:-1]
    torch.testing.assert_close(inner[0], torch.full((3, 4), -8.0))
    torch.testing.assert_close(inner[1], torch.zeros(3, 4), atol=1e-5, rtol=0)


def test_one_colour_is_left() -> None:
    """One band of each image stays, the others are noise of a hundredth of its deviation."""
    image = picture(40, 4, 24, 24)
    found = drop_colours(image, torch.Generator().manual_seed(1))
    same = (found == image).all(3).all(2)  # (B, 4)
    assert (same[:, :3].sum(1) == 1).all() and same[:, 3].all()
    assert same[:, :3].any(0).all()  # every colour is kept for some image
    for b in range(40):
        kept = int(same[b, :3].int().argmax())
        for band in {0, 1, 2} - {kept}:
            noise = found[b, band] - image[b, kept].mean()
            assert noise.std() == pytest.approx(0.01 * image[b, kept].std().item(), rel=0.15)


@pytest.mark.parametrize("operation", [grey, sobel])
def test_two_bands_have_no_colour(operation: object) -> None:
    """The message says what to set for other bands."""
    with pytest.raises(ValueError, match="model.views.type=PhotometricViews"):
        operation(picture(bands=2))
