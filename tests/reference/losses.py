"""Equations 2, 9, 10, 12 and 13 as one writes them down with torch's operations.

What makes this plain: every equation is a line or two of whole-tensor operations, every loss
computes what it needs by itself, and autograd keeps what it wants. Nothing is made slow on
purpose: no loop, one product where the equation has one sum, channels summed before a weight.

Shapes: assignment P (B, N, H, W), images (B, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-8


def soft_image(assignment: Tensor, image: Tensor) -> Tensor:
    """Eq 2."""
    mass = assignment.sum((2, 3))  # (B, N)
    means = torch.einsum("bnhw,bchw->bnc", assignment, image) / (mass[:, :, None] + EPS)
    return torch.einsum("bnhw,bnc->bchw", assignment, means)  # (B, C, H, W)


def clustering(assignment: Tensor, balance: float = 2.0) -> Tensor:
    """Eq 9."""
    surety = (assignment * torch.log(assignment + EPS)).sum(1)  # (B, H, W)
    usage = assignment.mean((2, 3))  # (B, N)
    return balance * (usage * torch.log(usage + EPS)).sum(1).mean() - surety.mean()


def smoothness(assignment: Tensor, image: Tensor, sigma: float = 10.0) -> Tensor:
    """Eq 10."""
    change_x = (assignment[..., 1:] - assignment[..., :-1]).abs().sum(1)  # (B, H, W-1)
    change_y = (assignment[:, :, 1:] - assignment[:, :, :-1]).abs().sum(1)  # (B, H-1, W)
    edge_x = (image[..., 1:] - image[..., :-1]).square().sum(1)
    edge_y = (image[:, :, 1:] - image[:, :, :-1]).square().sum(1)
    along_x = (change_x * torch.exp(-edge_x / sigma)).sum((1, 2))  # (B,)
    along_y = (change_y * torch.exp(-edge_y / sigma)).sum((1, 2))
    return ((along_x + along_y) / image[0, 0].numel()).mean()


def reconstruction(assignment: Tensor, image: Tensor, own: Tensor) -> Tensor:
    """Eq 12."""
    return F.mse_loss(own, image) + F.mse_loss(soft_image(assignment, image), image)


def edge_map(image: Tensor) -> Tensor:
    """Logarithm of E of Eq 13: softmax over all positions of the Laplacian over its maximum."""
    kernel = torch.ones(image.shape[1], 1, 3, 3, dtype=image.dtype, device=image.device)
    kernel[:, :, 1, 1] = -8
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
    laplacian = F.conv2d(padded, kernel, groups=image.shape[1]).flatten(2)  # (B, C, HW)
    laplacian = laplacian / laplacian.abs().amax(2, keepdim=True).clamp_min(1e-2)
    return torch.log_softmax(laplacian, 2)


def divergence(image: Tensor, other: Tensor) -> Tensor:
    """KL of two edge maps, mean over bands and images."""
    target, predicted = edge_map(image), edge_map(other)
    return (target.exp() * (target - predicted)).sum(2).mean()


def edges(assignment: Tensor, image: Tensor, own: Tensor) -> Tensor:
    """Eq 13."""
    return divergence(image, own) + divergence(image, soft_image(assignment, image))
