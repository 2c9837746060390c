"""Single pixels of an enlarged map, without enlarging it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sgseg.ops.sampling import at_pixels, windows


@pytest.mark.parametrize("size", [(16, 20), (6, 7), (5, 30)])
def test_equals_interpolate(size: tuple[int, int]) -> None:
    """Every pixel, the border included, holds what bilinear interpolation holds."""
    g = torch.Generator().manual_seed(0)
    feature = torch.randn(2, 3, 6, 7, generator=g, dtype=torch.float64)
    pixels = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1]))
    found = at_pixels(feature, pixels.expand(2, -1, -1), size)
    expected = F.interpolate(feature, size, mode="bilinear").flatten(2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_windows_are_slices() -> None:
    """A window's values are those of a slice of the enlarged map, in order."""
    feature = torch.arange(2 * 60.0).view(2, 1, 6, 10)
    centres = torch.tensor([[2, 3], [3, 7]])
    found = at_pixels(feature, windows(centres, 5), (6, 10)).unflatten(2, (5, 5))
    torch.testing.assert_close(found[0], feature[0, :, 0:5, 1:6])
    torch.testing.assert_close(found[1], feature[1, :, 1:6, 5:10])
