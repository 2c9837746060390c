"""Randomness as a function of (seeds, epoch, index, pass), whatever process draws it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import get_worker_info


class Draw(NamedTuple):
    """What a sampler hands to a data set: which item, in which epoch of which run."""

    index: int  # type: ignore[assignment]  # tuple has a method of this name, unused here
    epoch: int = 0
    seed: int = 0
    """Seed of the run, ``--seed``."""
    again: int = 0
    """How often the epoch has drawn the item before."""


@contextmanager
def isolated_randomness(*key: int) -> Iterator[None]:
    """Seed the global generators by ``key`` for one item and put them back afterwards.

    Transforms of other libraries draw from the global generators; seeding these is the one way
    to make all of them repeatable. Nothing outside the block notices.
    """
    entropy = np.random.SeedSequence(key).generate_state(2)
    if get_worker_info() is not None:
        # Nobody else draws in a worker process; saving the states costs more than a cached item.
        _seed(*entropy)
        yield
        return
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        _seed(*entropy)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _seed(first: np.uint32, second: np.uint32) -> None:
    random.seed(int(first))
    np.random.seed(int(first))
    torch.random.default_generator.manual_seed(int(second))
