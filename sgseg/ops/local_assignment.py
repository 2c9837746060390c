"""P with nine numbers a pixel: each pixel belongs to the grid cells around the one it lies in.

A grid of N cells covers the image in rows of equal or nearly equal numbers of columns. A pixel may
belong to its own cell, its two neighbours in the row, and the three nearest cells of the row above
and of the row below. All functions of :mod:`sgseg.ops` that take P take this record as well, and
give what they give for its :meth:`LocalAssignment.dense` form, N / 9 times as large.

Shapes: weight (B, 9, H, W), slots in the order of their cells' numbers, the own cell fifth;
cells (9, H, W). Source: the soft association of Jampani et al., Superpixel Sampling Networks, ECCV
2018; the grid is ours.
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


@dataclass(frozen=True, eq=False)
class LocalAssignment:
    """Soft superpixels of which each pixel belongs to nine at most.

    Args:
        weight: (B, 9, H, W), non-negative, sums to one over the nine, zero where a cell does not
            exist; :meth:`of_scores` makes it so.
        cells: the grid, on the same device.
    """

    weight: Tensor
    cells: Cells

    @classmethod
    def of_scores(cls, scores: Tensor, cells: Cells) -> LocalAssignment:
        """The softmax of ``scores`` (B, 9, H, W) over the cells that exist, in float32 at least."""
        closed = ~cells.open_slots()
        return cls(softmax(scores.masked_fill(closed, -torch.inf)), cells)

    @property
    def shape(self) -> torch.Size:
        """(B, N, H, W), that of the dense form."""
        batch, _, height, width = self.weight.shape
        return torch.Size((batch, self.cells.size.cells, height, width))

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
        slot = self.weight.argmax(1)  # (B, H, W)
        return self.cells.grid.around[self.cells.grid.own, slot]

    def dense(self) -> Tensor:
        """(B, N, H, W), N / 9 times as large: for tests and for what knows no other form."""
        index = self.cells.of_pixels().expand(self.weight.shape)
        return self.weight.new_zeros(self.shape).scatter_add(1, index, self.weight)


Assignment = Tensor | LocalAssignment
"""P in either form."""


def slot_colours(cells: Cells) -> Tensor:
    """Nine colours of the grid's cells such that no pixel's nine cells share one: (N, 9) int64.

    The colour of each cell's nine slots: (row mod 3) * 3 + column mod 3. Values of the slots sorted
    by colour are maps in which a superpixel has the same place at all of its pixels.
    """
    grid, count = cells.grid, cells.size.cells
    column = grid.own[:, 0]
    rows = (column[1:] != column[:-1]).sum() + 1
    cell = torch.arange(count, device=column.device)
    row = ((cell + 1) * rows - 1) // count  # (N,)
    slot = torch.arange(SLOTS, device=column.device)
    down, right = slot // 3 - 1, slot % 3 - 1  # (9,)
    other = (row[:, None] + down).clamp(min=0).minimum(rows - 1)  # (N, 9)
    nearest = grid.around[:, 3 * (slot // 3) + 1] - other * count // rows  # the slot between two
    return (row[:, None] + down) % 3 * 3 + (nearest + right) % 3
