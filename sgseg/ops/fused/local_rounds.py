"""Rounds of differentiable SLIC cell by cell: the pixels of a cell have the same nine superpixels.

So distances and means are one small matrix product a cell, and nothing is brought back into an
image before the last round. Autograd differentiates it.

Shapes: features (B, C, H, W), nodes (B, N, C), values (B, N, 9, p) of the p pixels of each cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..local_assignment import SLOTS, Cells
from ..precision import inverse_mass
from .local_products import Blocks, kept_blocks


class CellBlocks:
    """Features of an image cell by cell; see :class:`sgseg.ops.local_slic.Form`."""

    def __init__(self, features: Tensor, grid: Cells) -> None:
        self.cells = grid
        self.blocks: Blocks = kept_blocks(grid.size, features.device)
        count, _, most = self.blocks.filled.shape
        taken = features.flatten(2).index_select(2, self.blocks.pixels)
        taken = taken.unflatten(2, (count, most)).transpose(1, 2)  # (B, N, C, p)
        self.features = taken.contiguous()
        counted = torch.cat([taken, torch.ones_like(taken[:, :, :1])], 2)
        self.counted = counted * self.blocks.filled  # (B, N, C+1, p)

    def start(self) -> Tensor:
        """Means of the cells."""
        return self._means(self.counted.sum(3))

    def scores(self, nodes: Tensor, temperature: float) -> Tensor:
        """Minus the squared distances over T: (B, N, 9, p)."""
        nine = nodes[:, self.cells.grid.around]  # (B, N, 9, C)
        far = nine.square().sum(3, keepdim=True) / temperature
        far = far.masked_fill(~self.cells.grid.exists[..., None], 1e9)
        products = (nine * (2 / temperature)) @ self.features  # (B, N, 9, p)
        return products - far

    def share(self, values: Tensor) -> Tensor:
        """Softmax over the nine."""
        return values.softmax(2)

    def pool(self, weight: Tensor) -> Tensor:
        """Means of the features: (B, N, C)."""
        parts = weight @ self.counted.mT  # (B, N, 9, C+1)
        total = parts.new_zeros(len(parts), self.cells.size.cells, parts.shape[3])
        return self._means(
            total.index_add(1, self.cells.grid.around.flatten(), parts.flatten(1, 2))
        )

    def image(self, values: Tensor) -> Tensor:
        """(B, 9, H, W), sorted by slot."""
        taken = values.flatten(1).index_select(1, self.blocks.weight_places)
        return taken.view(len(values), SLOTS, *self.cells.size[:2])

    @staticmethod
    def _means(total: Tensor) -> Tensor:
        return total[..., :-1] * inverse_mass(total[..., -1:])
