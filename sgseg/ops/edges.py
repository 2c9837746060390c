r"""Edge features of a graph convolution, reduced over neighbours without keeping the edges.

.. math:: e_{ij} = a_i + \sum_p d_{ijp} (s_{ip} - s_{jp}), \quad\text{or}\quad e_{ij} = a_i - s_j

The linear layer of Eq 15-16 is applied to nodes, so an edge is a few additions. Edges are made for
a few images at a time, reduced while they lie in the cache, and made again in the backward pass.

Shapes: own a (B, N, C), slopes s (B, N, P * C), directions d (B, N, k, P) or None for the second
form (P = 1), neighbours (B, N, k) of indices into N. Source: Eq 15-16 of the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = {"cpu": 2**19, "cuda": 2**24}
"""Edge features made at a time: what a core's cache holds, and what fills a GPU."""


class EdgeMoments(NamedTuple):
    """Largest edge of each node, and mean and variance over all edges of a batch."""

    largest: Tensor
    """(B, N, C)."""
    mean: Tensor
    """(C,)."""
    variance: Tensor
    """(C,), biased."""


class _Graph(NamedTuple):
    """What edges are made of; ``places`` are the neighbours within the flattened batch."""

    own: Tensor
    slopes: Tensor
    directions: Tensor | None
    places: Tensor

    def chunks(self) -> Iterator[tuple[slice, _Graph]]:
        """Some images at a time; all at once where the graph is being exported."""
        images, nodes, k = self.places.shape
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            yield slice(None), self
            return
        room = CHUNK.get(self.own.device.type, CHUNK["cuda"])
        step = max(1, room // (nodes * k * self.own.shape[2]))
        for start in range(0, images, step):
            part = slice(start, start + step)
            directions = None if self.directions is None else self.directions[part]
            # Slopes stay whole: places count through the batch.
            yield part, _Graph(self.own[part], self.slopes, directions, self.places[part])

    def edges(self, part: slice) -> tuple[Tensor, Tensor]:
        """Edges (b, N, k, C), and s_j (b, N, k, C) or s_i - s_j (b, N, k, P, C) behind them."""
        change = F.embedding(self.places, self.slopes.flatten(0, 1))  # (b, N, k, P * C)
        own = self.own[:, :, None]  # (b, N, 1, C)
        if self.directions is None:
            return own - change, change
        change = torch.sub(self.slopes[part][:, :, None], change)
        change = change.unflatten(3, (self.directions.shape[3], -1))  # (b, N, k, P, C)
        edges = torch.addcmul(own, change[..., 0, :], self.directions[..., :1])  # (b, N, k, C)
        for p in range(1, self.directions.shape[3]):
            edges.addcmul_(change[..., p, :], self.directions[..., p : p + 1])
        return edges, change


class _Gradients:
    """Sums of the edges' gradients for what the edges were made of."""

    def __init__(self, graph: _Graph) -> None:
        self.own = torch.empty_like(graph.own)
        self.slopes = torch.zeros_like(graph.slopes)
        self.directions = None if graph.directions is None else torch.empty_like(graph.directions)

    def add(self, part: slice, graph: _Graph, slope: Tensor, change: Tensor) -> None:
        """Hand on the gradient ``slope`` (b, N, k, C) of the edges in ``part``."""
        self.own[part] = slope.sum(2)  # (b, N, C)
        if graph.directions is None or self.directions is None:
            self._to_neighbours(graph.places, slope)
            return
        for p in range(graph.directions.shape[3]):
            self.directions[part][..., p] = (slope * change[..., p, :]).sum(3)  # (b, N, k)
        spread = slope[..., None, :] * graph.directions[..., None]  # (b, N, k, P, C)
        self.slopes[part] += spread.sum(2).flatten(2)  # (b, N, P * C)
        self._to_neighbours(graph.places, spread)

    def _to_neighbours(self, index: Tensor, spread: Tensor) -> None:
        width = self.slopes.shape[2]
        rows = index.flatten()[:, None].expand(-1, width)  # (b * N * k, P * C)
        self.slopes.view(-1, width).scatter_add_(0, rows, spread.reshape(-1, width).neg_())


class _Moments(torch.autograd.Function):
    """Largest, mean and variance; its backward pass makes the edges anew."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        graph = _Graph(*given)
        largest = torch.empty_like(graph.own)
        mean = variance = graph.own.new_zeros(graph.own.shape[2])
        count = 0
        for part, piece in graph.chunks():
            edges = piece.edges(part)[0]
            largest[part] = edges.amax(2)
            flat = edges.flatten(0, 2)  # (b * N * k, C)
            own_mean = flat.mean(0)
            own_variance = flat.sub_(own_mean).square_().mean(0)
            # Chan's rule: no difference of large squares.
            share = len(flat) / (count + len(flat))
            gap = own_mean - mean
            variance = torch.lerp(variance, own_variance, share) + gap.square() * share * (
                1 - share
            )
            mean = mean + gap * share
            count += len(flat)
        ctx.save_for_backward(*given, largest, mean)
        return largest, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, largest: Tensor, mean: Tensor, variance: Tensor) -> Any:
        *given, found, centre = ctx.saved_tensors
        graph = _Graph(*given)
        edges_in_all = graph.places.numel()
        factor = 2 * variance / edges_in_all  # (C,)
        offset = mean / edges_in_all - factor * centre  # (C,)
        gradients = _Gradients(graph)
        for part, piece in graph.chunks():
            edges, change = piece.edges(part)
            # As amax has it: equal edges share the gradient.
            first = (edges == found[part][:, :, None]).to(edges.dtype)  # (b, N, k, C)
            share = largest[part] / first.sum(2)  # (b, N, C)
            slope = torch.addcmul(offset, edges, factor).addcmul_(first, share[:, :, None])
            gradients.add(part, piece, slope, change)
        return gradients.own, gradients.slopes, gradients.directions, None


def _mean_of_relu(graph: _Graph, scale: Tensor, shift: Tensor) -> Tensor:
    means = []
    for part, piece in graph.chunks():
        edges = piece.edges(part)[0]
        means.append(edges.mul_(scale).add_(shift).relu_().mean(2))
    return torch.cat(means)  # (B, N, C)


class _MeanOfReLU(torch.autograd.Function):
    """Mean over neighbours of ReLU(scale * e + shift)."""

    @staticmethod
    def forward(ctx: Any, scale: Tensor, shift: Tensor, *given: Any) -> Tensor:
        ctx.save_for_backward(scale, shift, *given)
        return _mean_of_relu(_Graph(*given), scale, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out: Tensor) -> Any:
        scale, shift, *given = ctx.saved_tensors
        graph = _Graph(*given)
        gradients = _Gradients(graph)
        to_scale, to_shift = torch.zeros_like(scale), torch.zeros_like(shift)
        share = out / graph.places.shape[2]  # (B, N, C)
        for part, piece in graph.chunks():
            edges, change = piece.edges(part)
            active = torch.addcmul(shift, edges, scale) > 0
            slope = active * share[part][:, :, None]  # (b, N, k, C)
            to_shift += slope.sum((0, 1, 2))
            to_scale += (slope * edges).sum((0, 1, 2))
            gradients.add(part, piece, slope.mul_(scale), change)
        return to_scale, to_shift, gradients.own, gradients.slopes, gradients.directions, None


def _flat(neighbours: Tensor) -> Tensor:
    """Neighbours (B, N, k) as indices into the B * N nodes of the batch."""
    images, nodes = neighbours.shape[:2]
    return neighbours + nodes * torch.arange(images, device=neighbours.device)[:, None, None]


def edge_moments(
    own: Tensor, slopes: Tensor, directions: Tensor | None, neighbours: Tensor
) -> EdgeMoments:
    """Largest edge of each node, and mean and variance of all edges.

    Args:
        own, slopes, directions, neighbours: see the module; all of one floating-point type.

    Returns:
        Differentiable once in all but ``neighbours``.
    """
    return EdgeMoments(*_Moments.apply(own, slopes, directions, _flat(neighbours)))


def largest_edge(
    own: Tensor, slopes: Tensor, directions: Tensor | None, neighbours: Tensor
) -> Tensor:
    """:func:`edge_moments` without the moments, and without a gradient: (B, N, C)."""
    graph = _Graph(own, slopes, directions, _flat(neighbours))
    return torch.cat([piece.edges(part)[0].amax(2) for part, piece in graph.chunks()])


def mean_of_relu(
    own: Tensor,
    slopes: Tensor,
    directions: Tensor | None,
    neighbours: Tensor,
    scale: Tensor,
    shift: Tensor,
) -> Tensor:
    """Mean over neighbours of ReLU(scale * e + shift), (B, N, C).

    Args:
        own, slopes, directions, neighbours: see the module.
        scale, shift: (C,).
    """
    graph = _Graph(own, slopes, directions, _flat(neighbours))
    if not torch.is_grad_enabled():
        return _mean_of_relu(graph, scale, shift)
    return _MeanOfReLU.apply(scale, shift, *graph)
