r"""Batch normalisation over all edges, ReLU and aggregation, without the edges in memory.

ReLU and a normalisation with positive gain keep the order of the edges of a node, so

.. math:: \max_j \mathrm{ReLU}(\gamma \hat e_{ij} + \beta)
          = \mathrm{ReLU}(\gamma\, \widehat{\max_j e_{ij}} + \beta), \quad \gamma \ge 0,

and only the largest edge and the edges' mean and variance are needed. Where gamma is negative the
edges change their sign, and gamma with them.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...ops.edges import edge_moments, largest_edge, mean_of_relu
from ...ops.precision import full_precision
from .node_mlp import NodeNorm
from .over_ranks import over_ranks

Aggregation = Literal["max", "mean"]


class EdgeNorm(NodeNorm):
    """The batch normalisation of a graph block, with the aggregation behind it.

    Under ``SyncBatchNorm`` mean and variance are those of all processes' edges, as its own forward
    pass would take them.

    Shapes: see :mod:`sgseg.ops.edges`; output (B, N, C) in the type of ``own``.
    """

    def aggregate(
        self,
        own: Tensor,
        slopes: Tensor,
        directions: Tensor | None,
        neighbours: Tensor,
        how: Aggregation,
    ) -> Tensor:
        """Max or mean over neighbours of ReLU(BN(e))."""
        reduce = self._max if how == "max" else self._mean
        return reduce(own, slopes, directions, neighbours).to(own.dtype)

    @full_precision
    def _max(
        self, own: Tensor, slopes: Tensor, directions: Tensor | None, neighbours: Tensor
    ) -> Tensor:
        gain = self.norm.weight
        sign = torch.where(gain < 0, -1.0, 1.0).to(own.dtype)  # (C,)
        parts = 1 if directions is None else directions.shape[3]
        given = own * sign, slopes * sign.repeat(parts), directions, neighbours
        if not (self.training or torch.is_grad_enabled()):
            largest = largest_edge(*given)
            mean, variance = self._running(sign)
        else:
            largest, mean, variance = edge_moments(*given)
            mean, variance = self._statistics(mean, variance, neighbours.numel(), sign)
        scale = gain.abs() * (variance + self.norm.eps).rsqrt()  # (C,)
        return torch.relu((largest - mean) * scale + self.norm.bias)  # (B, N, C)

    @full_precision
    def _mean(
        self, own: Tensor, slopes: Tensor, directions: Tensor | None, neighbours: Tensor
    ) -> Tensor:
        given = own, slopes, directions, neighbours
        mean, variance = self._running()
        if self.training:
            _, mean, variance = edge_moments(*given)
            mean, variance = self._statistics(mean, variance, neighbours.numel())
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()  # (C,)
        return mean_of_relu(*given, scale, self.norm.bias - mean * scale)

    def _running(self, sign: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (C,) each."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise ValueError("EdgeNorm: its BatchNorm1d must track running statistics")
        return mean * sign, variance

    def _statistics(
        self, mean: Tensor, variance: Tensor, edges: int, sign: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """What to normalise with, (C,) each; in training the running statistics follow it."""
        norm = self.norm
        if not self.training:
            return self._running(sign)
        count: float | Tensor = edges
        if isinstance(norm, nn.SyncBatchNorm) and dist.is_available() and dist.is_initialized():
            mean, variance, count = _whole(mean, variance, edges, norm.process_group)
        assert norm.momentum is not None  # NodeNorm leaves torch's 0.1
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            unbiased = variance * (count / (count - 1))
            for old, new in ((norm.running_mean, mean * sign), (norm.running_var, unbiased)):
                old.lerp_(new.to(old), norm.momentum)
        return mean, variance


def _whole(
    mean: Tensor, variance: Tensor, edges: int, group: dist.ProcessGroup | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and number of all processes' edges; a process may have fewer images."""
    own = mean.new_full((), edges)
    total = over_ranks(own, group)
    share = own / total
    whole = over_ranks(mean * share, group)  # (C,)
    spread = (variance + (mean - whole).square()) * share  # (C,)
    return whole, over_ranks(spread, group), total
