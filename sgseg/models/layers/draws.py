"""Random choices of a training step that are equal on all ranks and survive a restart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...ops.raster import NUM_ORDERS
from . import place


class StepDraws(nn.Module):
    """Every draw is a function of (seed, step); the step count is saved with the weights.

    Args:
        seed: of the run; equal on all ranks.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.step = 0

    def advance(self) -> None:
        """Go to the next training step."""
        self.step += 1

    def orders(self) -> tuple[int, int]:
        """Two different raster orders of 1..8, equal on all ranks."""
        pair = np.random.default_rng((self.seed, self.step)).choice(NUM_ORDERS, 2, replace=False)
        return int(pair[0]) + 1, int(pair[1]) + 1

    def generator(self) -> torch.Generator:
        """A CPU generator for this step and rank."""
        entropy = np.random.SeedSequence((self.seed, self.step, place()[0])).generate_state(
            1, np.uint64
        )
        return torch.Generator().manual_seed(int(entropy[0] >> 1))

    def get_extra_state(self) -> Tensor:
        """(2,) int64: seed and step, a plain tensor so that any loader reads it."""
        return torch.tensor([self.seed, self.step])

    def set_extra_state(self, state: Tensor) -> None:
        """Go on where a checkpoint stopped."""
        self.seed, self.step = (int(value) for value in state)
