"""Soft superpixels as a point cloud: pooling pixels into nodes and painting nodes onto pixels.

Shapes: assignment P (B, N, H, W) with non-negative entries summing to one over N;
features and images (B, C, H, W); nodes (B, N, C). Source: Eq 1-3 and 6 of the paper.
In the place of P, every function takes a :class:`LocalAssignment`, nine numbers a pixel.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from . import fused
from .fused import fused_by
from .local_assignment import Assignment, LocalAssignment
from .local_forms import local_mixture, local_soft_image, local_sums
from .precision import full_precision, inverse_mass
from .shapes import same_pixels


def coordinates(
    height: int,
    width: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Pixel centres (x, y), each axis scaled to [-1, 1].

    Args:
        height, width: size of the image in pixels, at least 1.
        device, dtype: of the result.

    Returns:
        (2, H, W): x (growing with the column), then y (growing with the row).
    """
    x = (2 * torch.arange(width, device=device, dtype=dtype) + 1) / width - 1  # (W,)
    y = (2 * torch.arange(height, device=device, dtype=dtype) + 1) / height - 1  # (H,)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])  # (2, H, W)


@full_precision
def pool(assignment: Assignment, features: Tensor) -> Tensor:
    r"""Mean of the features under each superpixel (Eq 3).

    .. math:: F^{SP}_s = \sum_p P_{p,s} F_p / \sum_p P_{p,s}

    A superpixel without mass gives a zero node with zero gradient instead of 0/0.

    Args:
        assignment: P, (B, N, H, W).
        features: (B, C, H, W).

    Returns:
        Nodes, (B, N, C).

    Raises:
        ValueError: if batch or image sizes differ.
    """
    same_pixels("pool", assignment, features)
    if isinstance(assignment, LocalAssignment):
        of_cells = local_sums(assignment.weight, assignment.cells, features)
        total, mass = map(assignment.over_cells, of_cells)
        return total * inverse_mass(mass)
    weight = assignment.flatten(2)  # (B, N, HW)
    # Scaled after the product: nothing as large as P is made or kept.
    total = weight @ features.flatten(2).transpose(1, 2)  # (B, N, C)
    return total * inverse_mass(weight.sum(2, keepdim=True))


@full_precision
def project(assignment: Assignment, nodes: Tensor) -> Tensor:
    r"""Node features painted onto the pixels (Eq 6).

    .. math:: \tilde M_p = \sum_s P_{p,s} \tilde F^{SP}_s

    Args:
        assignment: P, (B, N, H, W).
        nodes: (B, N, C).

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: if batch sizes or superpixel counts differ.
    """
    if assignment.shape[:2] != nodes.shape[:2]:
        raise ValueError(
            f"project: assignment holds (images, superpixels) {tuple(assignment.shape[:2])}, nodes "
            f"hold {tuple(nodes.shape[:2])}; both must be equal"
        )
    if isinstance(assignment, LocalAssignment):
        return local_mixture(assignment.weight, assignment.cells, assignment.at_cells(nodes))
    pixels = nodes.transpose(1, 2) @ assignment.flatten(2)  # (B, C, HW)
    return pixels.unflatten(2, assignment.shape[2:])  # (B, C, H, W)


@full_precision
@fused_by(fused.soft_image)
def soft_image(assignment: Assignment, image: Tensor) -> Tensor:
    r"""The soft-superpixelated image (Eq 2): every pixel a mixture of superpixel means.

    .. math:: \tilde I_p = \sum_s P_{p,s} \frac{\sum_q P_{q,s} I_q}{\sum_q P_{q,s}}

    Args:
        assignment: P, (B, N, H, W).
        image: (B, C, H, W).

    Returns:
        (B, C, H, W), differentiable once in both arguments.

    Raises:
        ValueError: as :func:`pool`.
    """
    if isinstance(assignment, LocalAssignment) and assignment.joined is None:
        same_pixels("soft_image", assignment, image)
        return local_soft_image(assignment.weight, assignment.cells, image)
    return project(assignment, pool(assignment, image))


def hard_image(assignment: Assignment, image: Tensor) -> Tensor:
    """The hard-superpixelated image (Eq 1): the mean over the pixels of the same superpixel.

    Args:
        assignment: P, (B, N, H, W); a pixel belongs to its largest entry.
        image: (B, C, H, W).

    Returns:
        (B, C, H, W); differentiable in ``image`` only.
    """
    if isinstance(assignment, LocalAssignment):
        return soft_image(replace(assignment, weight=_one_hot(assignment.weight)), image)
    return soft_image(_one_hot(assignment), image)


def _one_hot(share: Tensor) -> Tensor:
    """One for the largest entry along dimension 1, the first of equals, and zero else."""
    return torch.zeros_like(share).scatter_(1, share.argmax(1, keepdim=True), 1.0)


def largest_share(assignment: Assignment) -> Tensor:
    """Each pixel's share of the superpixel it belongs to most: (B, H, W)."""
    share = assignment.weight if isinstance(assignment, LocalAssignment) else assignment
    return share.amax(1)


def labels(assignment: Assignment) -> Tensor:
    """The superpixel that each pixel belongs to most, the first of equals: (B, H, W) int64."""
    if isinstance(assignment, LocalAssignment):
        return assignment.labels()
    return assignment.argmax(1)
