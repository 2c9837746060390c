"""P with nine numbers a pixel: each pixel belongs to the grid cells around the one it lies in.

A grid of N cells covers the image in rows of equal or nearly equal numbers of columns. A pixel may
belong to its own cell, its two neighbours in the row, and the three nearest cells of the row above
and of the row below. All functions of :mod:`sgseg.ops` that take P take this record as well, and
give what they give for its :meth:`LocalAssignment.dense` form, N / 9 times as large.

A superpixel is a cell, or several cells that were joined (:mod:`sgseg.ops.local_merging`).

Shapes: weight (B, 9, H, W), slots in the order of their cells' numbers, the own cell fifth;
cells (9, H, W); M cells, N <= M superpixels. Source: the soft association of Jampani et al.,
Superpixel Sampling Networks, ECCV 2018; the grid is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import unset_fake_temporarily

from .precision import softmax

SLOTS = 9
OWN = 4
"""The slot of a pixel's own cell."""
Tables = TypeVar("Tables", bound=tuple[Any, ...])


class Size(NamedTuple):
    """What a grid follows from."""

    height: int
    width: int
    cells: int
    """N."""


def kept(build: Callable[[Size], Tables]) -> Callable[[Size, torch.device], Tables]:
    """Decorate the making of a NamedTuple of tensors to run once for each size, on the CPU.

    The last few are kept on each device they were asked for. Under ``FakeTensorMode``, where
    memory is counted, the tensors given are fakes.
    """

    @lru_cache(maxsize=16)
    def made(size: Size, device: torch.device) -> Tables:
        with torch.inference_mode(False):  # whose tensors could not be used in training
            return type(tables := build(size))(*(table.to(device) for table in tables))

    @wraps(build)
    def wrapped(size: Size, device: torch.device) -> Tables:
        fake = detect_fake_mode()
        with unset_fake_temporarily():
            tables = made(size, device)
        return tables if fake is None else type(tables)(*map(fake.from_tensor, tables))

    return wrapped


class Grid(NamedTuple):
    """N cells on H x W pixels, all of about HW / N pixels, none empty."""

    own: Tensor
    """The cell that each pixel lies in, row by row: (H, W) int64."""
    around: Tensor
    """The nine cells of a pixel in each cell, the cell itself where there is none: (N, 9) int64."""
    exists: Tensor
    """Whether there is such a cell: (N, 9) bool."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A :class:`Grid` with its size; see :func:`cells`."""

    size: Size
    grid: Grid

    def of_pixels(self) -> Tensor:
        """The nine cells of every pixel: (9, H, W) int64."""
        return self.grid.around.t()[:, self.grid.own]

    def open_slots(self) -> Tensor:
        """Whether each of a pixel's nine cells exists: (9, H, W) bool."""
        return self.grid.exists.t()[:, self.grid.own]


def cells(height: int, width: int, count: int, device: torch.device | str = "cpu") -> Cells:
    """The grid of exactly ``count`` cells, made once for each size and device.

    Rows have numbers of columns that differ by one at most and heights in proportion to them;
    cells are about as wide as high.

    Args:
        height, width: of the image in pixels.
        count: N, 2 <= N <= HW.
        device: of the grid's tensors.

    Raises:
        ValueError: if ``count`` is out of range.
    """
    size, device = Size(height, width, count), torch.device(device)
    if torch.compiler.is_compiling():
        return Cells(size, _grid(size, device))  # H and W may be left open
    if not 2 <= count <= height * width:
        raise ValueError(
            f"cells: {count} superpixels on {height} x {width} pixels; their number must lie in "
            f"2..{height * width}: lower num_superpixels or use larger images"
        )
    return Cells(size, _kept_grid(size, device))


def _grid(size: Size, device: torch.device | str = "cpu") -> Grid:
    """Whole numbers throughout, in tensors, as an export that leaves H and W open needs them."""
    height, width, count = size
    one = torch.ones((), dtype=torch.int64, device=device)
    rows = (one.double() * (count * height) / width).sqrt().round().long()
    rows = torch.clamp(rows, one * ((count + width - 1) // width), (one * height).clamp(max=count))

    def before(row: Tensor) -> Tensor:
        """Cells in the rows before ``row``."""
        return row * count // rows

    def top(row: Tensor) -> Tensor:
        """The first line of pixels of ``row``: one for each row, the others by columns."""
        return row + (height - rows) * before(row) // count

    # A line's row by proportion, or one or two further: tops lie above those of equal heights.
    y, x = (torch.arange(length, device=device) for length in (height, width))
    first = y * rows // height
    row = first + (top(first + 1) <= y).long() + (top(first + 2) <= y).long()
    row = row.minimum(rows - 1)[:, None]  # (H, 1)
    columns = before(row + 1) - before(row)
    own = before(row) + (2 * x + 1) * columns // (2 * width)  # (H, W)

    cell = torch.arange(count, device=device)
    row = ((cell + 1) * rows - 1) // count  # (N,)
    column, columns = cell - before(row), before(row + 1) - before(row)
    around, exists = [], []
    for down in (-1, 0, 1):
        other = (row + down).clamp(min=0).minimum(rows - 1)
        there = before(other + 1) - before(other)
        nearest = (2 * column + 1) * there // (2 * columns)
        for right in (-1, 0, 1):
            found = (row + down == other) & (nearest + right >= 0) & (nearest + right < there)
            around.append(torch.where(found, before(other) + nearest + right, cell))
            exists.append(found)
    return Grid(own, torch.stack(around, 1), torch.stack(exists, 1))


_kept_grid = kept(_grid)


class Joined(NamedTuple):
    """Superpixels made of whole cells."""

    owner: Tensor
    """The superpixel that each cell is part of: (B, M) int64."""
    number: int
    """N."""


@dataclass(frozen=True, eq=False)
class LocalAssignment:
    """Soft superpixels of which each pixel belongs to nine at most.

    Args:
        weight: (B, 9, H, W), non-negative, sums to one over the nine, zero where a cell does not
            exist; :meth:`of_scores` makes it so. Of several cells of one superpixel around a pixel
            the first has the weight of all; :meth:`join` makes it so.
        cells: the grid, on the same device.
        joined: which cells are one superpixel; without, each is one.
    """

    weight: Tensor
    cells: Cells
    joined: Joined | None = None

    @classmethod
    def of_scores(cls, scores: Tensor, cells: Cells) -> LocalAssignment:
        """The softmax of ``scores`` (B, 9, H, W) over the cells that exist, in float32 at least."""
        closed = ~cells.open_slots()
        return cls(softmax(scores.masked_fill(closed, -torch.inf)), cells)

    def join(self, owner: Tensor, number: int) -> LocalAssignment:
        """The same pixels in ``number`` superpixels of whole cells.

        Args:
            owner: the superpixel, 0..number-1, of each cell: (B, M) int64.
            number: N.
        """
        nine = owner[:, self.cells.grid.around]  # (B, M, 9)
        nine = nine.masked_fill(~self.cells.grid.exists, -1)
        first = (nine[..., None, :] == nine[..., None]).int().argmax(3)  # (B, M, 9)
        index = first[:, self.cells.grid.own].permute(0, 3, 1, 2)  # (B, 9, H, W)
        weight = torch.zeros_like(self.weight).scatter_add(1, index, self.weight)
        return LocalAssignment(weight, self.cells, Joined(owner, number))

    def of_slots(self) -> Tensor:
        """The superpixel whose weight a slot of each cell has, -1: none; (B or 1, M, 9) int64."""
        grid = self.cells.grid
        if self.joined is None:
            return grid.around.masked_fill(~grid.exists, -1)[None]
        nine = self.joined.owner[:, grid.around].masked_fill(~grid.exists, -1)
        same = nine[..., None, :] == nine[..., None]  # (B, M, 9, 9)
        return nine.masked_fill(same.tril(-1).any(3), -1)

    def over_cells(self, values: Tensor) -> Tensor:
        """Sums over the cells of each superpixel: of (B, M, C), (B, N, C)."""
        if self.joined is None:
            return values
        owner, number = self.joined
        total = values.new_zeros(values.shape[0], number, values.shape[2])
        return total.scatter_add(1, owner[..., None].expand_as(values), values)

    def at_cells(self, nodes: Tensor) -> Tensor:
        """The value of each cell's superpixel: of (B, N, C), (B, M, C)."""
        if self.joined is None:
            return nodes
        return nodes.gather(1, self.joined.owner[..., None].expand(-1, -1, nodes.shape[2]))

    @property
    def shape(self) -> torch.Size:
        """(B, N, H, W), that of the dense form."""
        batch, _, height, width = self.weight.shape
        number = self.cells.size.cells if self.joined is None else self.joined.number
        return torch.Size((batch, number, height, width))

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.weight.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient reaches the weights."""
        return self.weight.requires_grad

    def float(self) -> LocalAssignment:
        """The same in float32."""
        return replace(self, weight=self.weight.float())

    def detach(self) -> LocalAssignment:
        """The same without gradient."""
        return replace(self, weight=self.weight.detach())

    def labels(self) -> Tensor:
        """The superpixel that each pixel belongs to most: (B, H, W) int64; the first of equals."""
        slot = self.weight.max(1).indices  # (B, H, W), eight times as fast as argmax
        cell = self.cells.grid.around[self.cells.grid.own, slot]
        if self.joined is None:
            return cell
        return self.joined.owner.gather(1, cell.flatten(1)).view_as(cell)

    def dense(self) -> Tensor:
        """(B, N, H, W), N / 9 times as large: for tests and for what knows no other form."""
        index = self.cells.of_pixels().expand(self.weight.shape)
        if self.joined is not None:
            index = self.joined.owner.gather(1, index.flatten(1)).view_as(index)
        return self.weight.new_zeros(self.shape).scatter_add(1, index, self.weight)


Assignment = Tensor | LocalAssignment
"""P in either form."""
