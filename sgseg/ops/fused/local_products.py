"""Products with P of nine numbers a pixel, one small matrix product for each cell of the grid.

The pixels of a cell have the same nine superpixels, so their weights are a 9 x p matrix. Cells are
filled up with zero weights to the p pixels of the largest. Features are taken one image at a time.

Shapes: weight (B, 9, H, W), features (B, C, H, W), nodes (B, N, C).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from ..local_assignment import SLOTS, Cells, Size, cells, kept
from ..precision import backward_pass, inverse_mass


class Blocks(NamedTuple):
    """Where the pixels of each cell are."""

    pixels: Tensor
    """The pixels of each cell, its last one again where it has fewer than p: (Np,)."""
    filled: Tensor
    """Where ``pixels`` are no repetition: (N, 1, p) bool."""
    weights: Tensor
    """The weights of each cell, of (9 HW,): (N 9 p,)."""
    places: Tensor
    """The inverse of ``pixels``: (HW,)."""
    weight_places: Tensor
    """The inverse of ``weights``: (9 HW,)."""


def _made(size: Size) -> Blocks:
    own = cells(*size).grid.own.flatten()  # (HW,)
    count = own.bincount()  # (N,)
    most, area = int(count.max()), len(own)
    order = own.argsort(stable=True)  # cell by cell
    rank = torch.arange(most)
    filled = rank < count[:, None]  # (N, p)
    first = (count.cumsum(0) - count)[:, None]
    pixels = order[first + rank.minimum(count[:, None] - 1)]  # (N, p)
    within = torch.empty_like(own).scatter_(0, order, filled.nonzero()[:, 1])  # (HW,)
    slot = torch.arange(SLOTS)[:, None]
    return Blocks(
        pixels.flatten(),
        filled[:, None],
        (slot * area + pixels[:, None]).flatten(),
        own * most + within,
        ((own * SLOTS + slot) * most + within).flatten(),
    )


kept_blocks = kept(_made)


def _weights(weight: Tensor, blocks: Blocks) -> Tensor:
    """(B, 9, H, W) cell by cell: (B, N, 9, p)."""
    count, _, most = blocks.filled.shape
    taken = weight.flatten(1).index_select(1, blocks.weights).view(-1, count, SLOTS, most)
    return taken.mul_(blocks.filled)


def _features(image: Tensor, blocks: Blocks) -> Tensor:
    """One image's (C, H, W) cell by cell: (N, p, C), whichever way it lies in memory."""
    count, _, most = blocks.filled.shape
    rows = image.flatten(1)  # (C, HW)
    if rows.stride(0) == 1:
        return rows.t().index_select(0, blocks.pixels).view(count, most, -1)
    return rows.index_select(1, blocks.pixels).view(-1, count, most).permute(1, 2, 0)


def _sums(weights: Tensor, grid: Cells, blocks: Blocks, features: Tensor) -> Tensor:
    """(B, N, C) of weights (B, N, 9, p)."""
    total = features.new_zeros(len(features), grid.size.cells, features.shape[1])
    around = grid.grid.around.flatten()  # (9N,)
    for mine, image, out in zip(weights, features, total, strict=True):
        out.index_add_(0, around, (mine @ _features(image, blocks)).flatten(0, 1))
    return total


def _mixture(weights: Tensor, grid: Cells, blocks: Blocks, nodes: Tensor) -> Tensor:
    """(B, C, H, W) of weights (B, N, 9, p), channels last."""
    height, width, _ = grid.size
    mixed = nodes.new_empty(len(nodes), height * width, nodes.shape[2])
    for mine, each, out in zip(weights, nodes, mixed, strict=True):
        found = mine.mT @ each[grid.grid.around]  # (N, p, C)
        torch.index_select(found.flatten(0, 1), 0, blocks.places, out=out)
    return mixed.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _agreement(nodes: Tensor, grid: Cells, blocks: Blocks, features: Tensor) -> Tensor:
    """Products of each pixel's features and its nine nodes: (B, 9, H, W)."""
    count, _, most = blocks.filled.shape
    products = features.new_empty(len(features), count, SLOTS, most)
    for each, image, out in zip(nodes, features, products, strict=True):
        torch.bmm(each[grid.grid.around], _features(image, blocks).mT, out=out)
    return _slots(products, grid, blocks)


def _slots(weights: Tensor, grid: Cells, blocks: Blocks) -> Tensor:
    """(B, N, 9, p) as the weights lie in an image: (B, 9, H, W)."""
    taken = weights.flatten(1).index_select(1, blocks.weight_places)
    return taken.view(len(weights), SLOTS, *grid.size[:2])


def _mass(weights: Tensor, grid: Cells) -> Tensor:
    """(B, N) of weights (B, N, 9, p)."""
    mass = weights.new_zeros(len(weights), grid.size.cells)
    return mass.index_add_(1, grid.grid.around.flatten(), weights.sum(3).flatten(1))


def _own_nine(values: Tensor, grid: Cells) -> Tensor:
    """Values of the superpixels (B, N) at each pixel's nine: (B, 9, H, W)."""
    nine = values[:, grid.grid.around].mT.flatten(0, 1)  # (9B, N)
    own = grid.grid.own.flatten()
    return nine.index_select(1, own).view(len(values), SLOTS, *grid.size[:2])


class _Mass(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Cells) -> Tensor:
        ctx.grid = grid
        return _mass(_weights(weight, kept_blocks(grid.size, weight.device)), grid)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        return _own_nine(slope, ctx.grid), None


class _Sums(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Cells, features: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, features)
        ctx.grid, blocks = grid, kept_blocks(grid.size, weight.device)
        weights = _weights(weight, blocks)  # (B, N, 9, p)
        return _sums(weights, grid, blocks, features), _mass(weights, grid)[..., None]

    @staticmethod
    @backward_pass
    def backward(ctx: Any, by_sums: Tensor, by_mass: Tensor) -> tuple[Tensor | None, ...]:
        weight, features = ctx.saved_tensors
        grid, blocks = ctx.grid, kept_blocks(ctx.grid.size, weight.device)
        by_weight = by_features = None
        if ctx.needs_input_grad[0]:
            by_weight = _agreement(by_sums, grid, blocks, features)  # (B, 9, H, W)
            by_weight += _own_nine(by_mass[..., 0], grid)
        if ctx.needs_input_grad[2]:
            by_features = _mixture(_weights(weight, blocks), grid, blocks, by_sums)
        return by_weight, None, by_features


class _Mixture(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Cells, nodes: Tensor) -> Tensor:
        ctx.save_for_backward(weight, nodes)
        ctx.grid, blocks = grid, kept_blocks(grid.size, weight.device)
        return _mixture(_weights(weight, blocks), grid, blocks, nodes)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        weight, nodes = ctx.saved_tensors
        grid, blocks = ctx.grid, kept_blocks(ctx.grid.size, weight.device)
        by_weight = by_nodes = None
        if ctx.needs_input_grad[0]:
            by_weight = _agreement(nodes, grid, blocks, slope)
        if ctx.needs_input_grad[2]:
            by_nodes = _sums(_weights(weight, blocks), grid, blocks, slope)
        return by_weight, None, by_nodes


class _SoftImage(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Cells, image: Tensor) -> Tensor:
        ctx.grid, blocks = grid, kept_blocks(grid.size, weight.device)
        weights = _weights(weight, blocks)  # (B, N, 9, p)
        inverse = inverse_mass(_mass(weights, grid)[..., None])  # (B, N, 1)
        nodes = _sums(weights, grid, blocks, image) * inverse  # (B, N, C)
        ctx.save_for_backward(weight, image, nodes, inverse)
        return _mixture(weights, grid, blocks, nodes)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        weight, image, nodes, inverse = ctx.saved_tensors
        grid, blocks = ctx.grid, kept_blocks(ctx.grid.size, weight.device)
        weights = _weights(weight, blocks)
        # Gradients by the sums under a superpixel, and by its mass.
        by_sums = _sums(weights, grid, blocks, slope) * inverse  # (B, N, C)
        by_mass = -(by_sums * nodes).sum(2, keepdim=True)  # (B, N, 1)
        by_weight = by_image = None
        if ctx.needs_input_grad[0]:
            left = torch.cat([nodes, by_sums, by_mass], 2)  # (B, N, 2C+1)
            right = torch.cat([slope, image, torch.ones_like(slope[:, :1])], 1)
            by_weight = _agreement(left, grid, blocks, right)
        if ctx.needs_input_grad[2]:
            by_image = _mixture(weights, grid, blocks, by_sums)
        return by_weight, None, by_image


def local_soft_image(weight: Tensor, cells: Cells, image: Tensor) -> Tensor:
    """See :func:`sgseg.ops.local_forms.local_soft_image`."""
    return _SoftImage.apply(weight, cells, image)


def local_sums(weight: Tensor, cells: Cells, features: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`sgseg.ops.local_forms.local_sums`."""
    return _Sums.apply(weight, cells, features)


def local_mass(weight: Tensor, cells: Cells) -> Tensor:
    """See :func:`sgseg.ops.local_forms.local_mass`."""
    return _Mass.apply(weight, cells)


def local_mixture(weight: Tensor, cells: Cells, nodes: Tensor) -> Tensor:
    """See :func:`sgseg.ops.local_forms.local_mixture`."""
    return _Mixture.apply(weight, cells, nodes)
