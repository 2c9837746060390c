"""Sums over all processes that gradients pass through."""

from __future__ import annotations

import torch.distributed as dist
from mmengine.dist import get_world_size
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def over_ranks(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The sum of ``x`` over all processes, equal on each; ``x`` itself where there is but one.

    A loss made of such sums is the whole batch's, and so is its gradient after the mean over
    processes that DistributedDataParallel takes: the backward pass sums over the processes too,
    which ``torch.distributed.all_reduce`` would not.

    Args:
        x: of any shape, the same on all processes.
        group: default all processes.
    """
    if get_world_size() == 1:
        return x
    return all_reduce(x, group=group or dist.group.WORLD)
