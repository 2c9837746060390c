"""Pixels counted by predicted cluster and true class, on the device where the predictions are."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops.matching import IGNORE, IntArray


class ConfusionCounts:
    """Sums of confusion matrices, rows predicted, columns true; label 255 is not scored.

    A value out of range is refused: on the CPU with its image, on a GPU when the counts are taken,
    because looking earlier would wait for it.

    Args:
        parts: number of matrices, one for each subset of a data set.
        clusters, classes: rows and columns of each.
        device: where the counts live.
    """

    def __init__(self, parts: int, clusters: int, classes: int, device: torch.device) -> None:
        # One row for a wrong cluster; one column for ignored pixels, one for a wrong label.
        self.cells = torch.zeros(parts, clusters + 1, classes + 2, dtype=torch.int64, device=device)
        self.clusters, self.classes = clusters, classes

    def add(self, part: int, predicted: Tensor, truth: Tensor) -> None:
        """Count an image: whole numbers, (H, W) each.

        Raises:
            ValueError: for unequal shapes, fractions, and on the CPU for a value out of range.
        """
        if predicted.shape != truth.shape:
            raise ValueError(
                f"HungarianMetric: prediction {tuple(predicted.shape)} and truth "
                f"{tuple(truth.shape)} differ in shape"
            )
        if predicted.is_floating_point() or truth.is_floating_point():
            raise ValueError(
                f"HungarianMetric: labels must be whole numbers, got {predicted.dtype} and "
                f"{truth.dtype}"
            )
        predicted, truth = predicted.long(), truth.long()
        inside = (predicted >= 0) & (predicted < self.clusters)
        row = torch.where(inside, predicted, self.clusters)
        known = (truth >= 0) & (truth < self.classes)
        unknown = torch.where(truth == IGNORE, self.classes, self.classes + 1)
        column = torch.where(known, truth, unknown)
        cell = (row * (self.classes + 2) + column).flatten()  # (H * W,)
        ones = torch.ones((), dtype=torch.int64, device=cell.device).expand_as(cell)
        self.cells[part].view(-1).scatter_add_(0, cell, ones)
        if cell.device.type == "cpu":
            self.take()

    def take(self) -> IntArray:
        """(parts, clusters, classes) on the host.

        Raises:
            ValueError: if a scored pixel was out of range; nothing is dropped in silence.
        """
        counts = self.cells.cpu().numpy()
        labels = int(counts[:, :, -1].sum())
        clusters = int(counts[:, -1, : self.classes].sum())
        if labels or clusters:
            raise ValueError(
                f"HungarianMetric: {clusters} scored pixels have cluster values outside "
                f"0..{self.clusters - 1} and {labels} have label values outside "
                f"0..{self.classes - 1} (or {IGNORE}, which is not scored)"
            )
        return counts[:, :-1, : self.classes]
