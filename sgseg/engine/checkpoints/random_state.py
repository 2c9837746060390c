"""The state of every random generator of a process, as plain values."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size


def random_state() -> dict[str, Any]:
    """The states of torch, NumPy, Python and the GPU of this process."""
    numpy_state: Any = np.random.get_state()
    version, words, position, *gauss = numpy_state
    state = dict(
        torch=torch.get_rng_state(),
        numpy=[str(version), torch.from_numpy(words.astype(np.int64)), int(position), *gauss],
        python=list(random.getstate()[1]),
        python_gauss=random.getstate()[2],
    )
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any], step: int) -> None:
    """Put a state of :func:`random_state` back.

    Over several ranks each goes on with a seed of its own, made of the state, ``step`` and the
    rank: one rank's state was saved. What the model and the data draw does not depend on it.
    """
    if get_world_size() > 1:
        seed = np.random.SeedSequence((step, get_rank(), int(state["torch"][0])))
        for seeder in (torch.manual_seed, np.random.seed, random.seed):
            seeder(int(seed.generate_state(1)[0]))
        return
    torch.set_rng_state(state["torch"].cpu())
    version, words, position, *gauss = state["numpy"]
    np.random.set_state((version, words.numpy().astype(np.uint32), position, *gauss))
    random.setstate((3, tuple(state["python"]), state["python_gauss"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
