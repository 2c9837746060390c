"""Diagnostics of a training step for the log, such as live superpixels; none is a loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...ops.information import entropy, mutual_information
from ...ops.superpixel import labels, largest_share
from ...structures import SegState


@torch.no_grad()
def diagnose(state: SegState) -> dict[str, Tensor]:
    """Scalars of a training step.

    ``live_superpixels``: superpixels that own a pixel, mean over images; ``max_assignment``: mean
    of max P, one for a hard assignment; ``centroid_spread``: deviation of the superpixels'
    centres, 0.58 for an even grid, near 0 when P is diffuse; ``projected_norm``: mean magnitude
    of the projected features; ``mutual_information``: of the two readings at equal positions,
    as a share of its bound log K; ``class_usage``: entropy of the class frequencies over log K;
    ``largest_class``: share of the pixels of the most frequent class.
    """
    scalars: dict[str, Tensor] = {}
    if state.superpixels is not None:
        assignment = state.superpixels.assignment
        owner, count = labels(assignment), assignment.shape[1]
        owned = torch.zeros(len(owner), count, device=owner.device)
        owned.scatter_(1, owner.flatten(1), 1.0)  # (B, N)
        scalars["live_superpixels"] = owned.sum(1).mean()
        scalars["max_assignment"] = largest_share(assignment).float().mean()
    if state.nodes is not None:
        scalars["centroid_spread"] = state.nodes[..., :2].float().std(1).mean()
    if state.projected is not None:
        scalars["projected_norm"] = state.projected.float().abs().mean()
    if state.views is not None:
        first, second = (view.probability for view in state.views)
        bound = math.log(first.shape[1])
        scalars["mutual_information"] = mutual_information(first, second) / bound
        scalars["class_usage"] = entropy(first.mean((0, 2, 3)), 0) / bound
        classes = torch.arange(first.shape[1], device=first.device)[:, None, None]  # (K, 1, 1)
        owned = first.argmax(1, keepdim=True) == classes  # (B, K, H, W)
        scalars["largest_class"] = owned.float().mean((0, 2, 3)).max()
    return scalars
