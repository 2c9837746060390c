"""Pairs of windows of an image, and the question about them (Doersch, Isola).

Shapes: centres (B, 2), rows and columns of the windows', targets (B,).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS


class PatchPairs(NamedTuple):
    """Two windows per image and the answer."""

    first: Tensor
    """Centres, (B, 2) int64."""
    second: Tensor
    target: Tensor
    """(B,) int64."""


def _polar(angle: Tensor, radius: Tensor) -> Tensor:
    """Whole rows and columns of offsets, (B, 2) int64."""
    return torch.stack([radius * angle.sin(), radius * angle.cos()], 1).round().long()


def _between(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def place_windows(
    offset: Tensor, side: int, size: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Centres ``offset`` apart, anywhere that both windows lie inside the image.

    Args:
        offset: (B, 2) int64.
        side: of the windows, odd.
        size: height and width of the image.
        generator: on the CPU.

    Raises:
        ValueError: if the image is too small for such a pair.
    """
    room = torch.tensor(size) - side + 1 - offset.abs()  # (B, 2)
    if int(room.min()) < 1:
        raise ValueError(
            f"Windows of {side} pixels up to {int(offset.abs().max())} apart do not fit an image "
            f"of {size[0]} x {size[1]}: use larger images or a smaller side"
        )
    corner = (torch.rand(offset.shape, generator=generator) * room).long()
    first = corner + side // 2 + (-offset).clamp_min(0)
    return first, first + offset


class ContextTask(nn.Module):
    """Base of the two tasks: ``draw`` asks, ``losses`` judges, ``outputs`` logits are wanted.

    Args:
        side: of the windows in pixels, odd; 11 in IIC.
        shared_location: one pair of windows for the whole batch as in IIC's code; False draws a
            pair per image.
    """

    outputs: int

    def __init__(self, side: int = 11, shared_location: bool = False) -> None:
        super().__init__()
        if side < 1 or side % 2 == 0:
            raise ValueError(f"{type(self).__name__}: side = {side} must be odd and >= 1")
        self.side = side
        self.shared_location = shared_location

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> PatchPairs:
        """Pairs for ``count`` images of ``size``; ``generator`` lives on the CPU."""
        drawn = 1 if self.shared_location else count
        offset, target = self.ask(drawn, generator)
        pairs = PatchPairs(*place_windows(offset, self.side, size, generator), target)
        repeats = count // drawn
        return PatchPairs(*(part.repeat_interleave(repeats, 0) for part in pairs))

    def ask(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Offsets (count, 2) int64 and answers (count,) int64."""
        raise NotImplementedError(f"{type(self).__name__} must define ask(count, generator)")

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair: (B,)."""
        raise NotImplementedError(f"{type(self).__name__} must define losses(logits, target)")


@MODELS.register_module()
class RelativePosition(ContextTask):
    """The direction of the second window from the first (Doersch et al., ICCV 2015).

    Direction i lies at the angle i pi / 4, at 1.5 to 2 sides.

    Args:
        num_positions: 8. IIC's code draws from 9, of which the first and the last are one
            direction; 9 does as it does.
        side, shared_location: see :class:`ContextTask`.
    """

    def __init__(
        self, num_positions: int = 8, side: int = 11, shared_location: bool = False
    ) -> None:
        super().__init__(side, shared_location)
        if num_positions not in (8, 9):
            raise ValueError(f"RelativePosition: num_positions = {num_positions}; choose 8 or 9")
        self.outputs = num_positions

    def ask(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Offsets in one of the directions, and its number."""
        direction = torch.randint(self.outputs, (count,), generator=generator)
        radius = _between(1.5 * self.side, 2 * self.side, count, generator)
        return _polar(direction.double() * math.pi / 4, radius), direction

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross entropy, by operations that are deterministic on GPUs too."""
        return -logits.log_softmax(1).gather(1, target[:, None])[:, 0]


@MODELS.register_module()
class CoOccurrence(ContextTask):
    """Are the two windows neighbours? (Isola et al., 2016)

    Half of the pairs are near: one side down or up and one side left or right. The other half is
    far: 2 to 3 sides away in any direction. IIC's code sets the lower bound; the upper is ours.

    Args:
        side, shared_location: see :class:`ContextTask`.
    """

    outputs = 1

    def ask(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Offsets, and 1 for near."""
        near = torch.randint(2, (count,), generator=generator)
        diagonal = self.side * (2 * torch.randint(2, (count, 2), generator=generator) - 1)
        angle = _between(0, 2 * math.pi, count, generator)
        far = _polar(angle, _between(2 * self.side, 3 * self.side, count, generator))
        return torch.where(near[:, None] == 1, diagonal, far), near

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross entropy."""
        return F.binary_cross_entropy_with_logits(
            logits[:, 0], target.to(logits.dtype), reduction="none"
        )
