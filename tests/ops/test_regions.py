"""Means over regions against a loop."""

from __future__ import annotations

import pytest
import torch

from sgseg.ops.regions import region_means


def test_against_a_loop() -> None:
    """Each image has regions of its own; numbers without a pixel have mean zero and no pixel."""
    g = torch.Generator().manual_seed(0)
    values = torch.randn(3, 2, 5, 6, generator=g, dtype=torch.float64)
    regions = torch.randint(4, (3, 5, 6), generator=g)
    regions[1][regions[1] == 2] = 0
    found = region_means(values, regions)
    for b in range(3):
        for number in range(4):
            inside = regions[b] == number
            assert found.pixels[b, number] == inside.sum()
            if inside.any():
                torch.testing.assert_close(found.mean[b, number], values[b][:, inside].mean(1))
    assert found.pixels[1, 2] == 0 and (found.mean[1, 2] == 0).all()


def test_other_sizes_are_refused() -> None:
    """Regions of another size are no regions of this map."""
    with pytest.raises(ValueError, match="must agree"):
        region_means(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long))
