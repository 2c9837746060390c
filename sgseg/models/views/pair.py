"""Two views of the same images, and how a map read from one lies on the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ViewPair(NamedTuple):
    """Two views of the same images; each may be rolled, the second mirrored."""

    images: tuple[Tensor, Tensor]
    """(B, C, H, W) each; one and the same tensor if both readings see the same."""
    shifts: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    """Rows and columns that each view was rolled by."""
    mirrored: Tensor | None = None
    """(B,) bool: whose second view is mirrored left to right; None for no image."""

    def align(self, number: int, x: Tensor) -> Tensor:
        """A map (B, D, H, W) read from view ``number``, brought back to the image's pixels."""
        if number == 1 and self.mirrored is not None:
            x = mirror(x, self.mirrored)
        down, right = self.shifts[number]
        return x.roll((-down, -right), (2, 3)) if down or right else x


def mirror(x: Tensor, which: Tensor) -> Tensor:
    """(B, D, H, W) with the entries of ``which`` (B,) bool mirrored left to right."""
    return torch.where(which.view(-1, 1, 1, 1), x.flip(3), x)
