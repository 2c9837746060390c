"""Randomness as a function of (seed, epoch, index), whatever process draws it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch


class Draw(NamedTuple):
    """What a sampler hands to a data set: which item, and in which epoch."""

    index: int  # type: ignore[assignment]  # tuple has a method of this name, unused here
    epoch: int


@contextmanager
def isolated_randomness(seed: int, epoch: int, index: int) -> Iterator[None]:
    """Seed the global generators for one item and put them back afterwards.

    Transforms of other libraries draw from the global generators; seeding these is the one way
    to make all of them repeatable. Nothing outside the block notices.
    """
    entropy = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(int(entropy[0]))
        np.random.seed(int(entropy[0]))
        torch.random.default_generator.manual_seed(int(entropy[1]))
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
