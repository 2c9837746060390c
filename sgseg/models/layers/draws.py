"""Random choices of a training step that are equal on all ranks and survive a restart."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.dist import get_rank
from torch import Tensor, nn

from ...ops.raster import NUM_ORDERS


class StepDraws(nn.Module):
    """Every draw is a function of (seed, step); the step count is saved with the weights.

    Args:
        seed: of the run; equal on all ranks.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.step = 0

    def next_step(self) -> tuple[torch.Generator, tuple[int, int]]:
        """What a training step draws, and go on to the next step.

        Returns:
            A CPU generator, another one on every rank, and two different raster orders of 1..8,
            equal on all ranks.
        """
        own = np.random.SeedSequence((self.seed, self.step, get_rank()))
        entropy = int(own.generate_state(1, np.uint64)[0] >> 1)
        shared = np.random.default_rng((self.seed, self.step))
        first, second = shared.choice(NUM_ORDERS, 2, replace=False) + 1
        self.step += 1
        return torch.Generator().manual_seed(entropy), (int(first), int(second))

    def get_extra_state(self) -> Tensor:
        """(2,) int64: seed and step, a plain tensor so that any loader reads it."""
        return torch.tensor([self.seed, self.step])

    def set_extra_state(self, state: Tensor) -> None:
        """Go on where a checkpoint stopped."""
        self.seed, self.step = (int(value) for value in state)
