"""Soft superpixels as a point cloud: pooling pixels into nodes and painting nodes onto pixels.

Shapes: assignment P (B, N, H, W) with non-negative entries summing to one over N;
features and images (B, C, H, W); nodes (B, N, C). Source: Eq 1-3 and 6 of the paper.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .precision import EPS, backward_pass, full_precision


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
def pool(assignment: Tensor, features: Tensor) -> Tensor:
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
    _check_pixels(assignment, features)
    weight = assignment.flatten(2)  # (B, N, HW)
    # Scaled behind the product: nothing as large as P is made or kept.
    sums = weight @ features.flatten(2).transpose(1, 2)  # (B, N, C)
    return sums * _inverse(weight.sum(2, keepdim=True))


def _inverse(mass: Tensor) -> Tensor:
    """1 / mass; 0 for a superpixel without mass, which so has no gradient either."""
    return torch.where(mass > EPS, 1 / mass.clamp_min(EPS), torch.zeros_like(mass))


@full_precision
def project(assignment: Tensor, nodes: Tensor) -> Tensor:
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
    pixels = nodes.transpose(1, 2) @ assignment.flatten(2)  # (B, C, HW)
    return pixels.unflatten(2, assignment.shape[2:])  # (B, C, H, W)


class _SoftImage(Function):
    """Eq 2; the backward of ``project(P, pool(P, image))`` as one product, P kept alone."""

    @staticmethod
    def forward(ctx: Any, assignment: Tensor, image: Tensor) -> Tensor:
        weight, bands = assignment.flatten(2), image.flatten(2)  # (B, N, HW), (B, C, HW)
        inverse = _inverse(weight.sum(2, keepdim=True))  # (B, N, 1)
        nodes = (weight @ bands.transpose(1, 2)) * inverse  # (B, N, C)
        ctx.save_for_backward(assignment, image, nodes, inverse)
        return (nodes.transpose(1, 2) @ weight).view_as(image)  # (B, C, H, W)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        assignment, image, nodes, inverse = ctx.saved_tensors
        slope, weight = slope.flatten(2), assignment.flatten(2)  # (B, C, HW), (B, N, HW)
        # By the sums under a superpixel, and by its mass.
        by_sums = (weight @ slope.transpose(1, 2)) * inverse  # (B, N, C)
        by_mass = -(by_sums * nodes).sum(2, keepdim=True)  # (B, N, 1)
        by_assignment = by_image = None
        if ctx.needs_input_grad[0]:
            ones = torch.ones_like(slope[:, :1])
            left = torch.cat([nodes, by_sums, by_mass], 2)  # (B, N, 2C+1)
            right = torch.cat([slope, image.flatten(2), ones], 1)  # (B, 2C+1, HW)
            # Not a view of the product: autograd adds other gradients in place to a tensor alone.
            by_assignment = assignment.new_empty(assignment.shape)  # (B, N, H, W)
            torch.bmm(left, right, out=by_assignment.flatten(2))
        if ctx.needs_input_grad[1]:
            by_image = (by_sums.transpose(1, 2) @ weight).view(image.shape)  # (B, C, H, W)
        return by_assignment, by_image


@full_precision
def soft_image(assignment: Tensor, image: Tensor) -> Tensor:
    """The soft-superpixelated image (Eq 2): every pixel a mixture of superpixel means.

    Args:
        assignment: P, (B, N, H, W).
        image: (B, C, H, W).

    Returns:
        (B, C, H, W), differentiable once in both arguments.

    Raises:
        ValueError: as :func:`pool`.
    """
    _check_pixels(assignment, image)
    return _SoftImage.apply(assignment, image)


def hard_image(assignment: Tensor, image: Tensor) -> Tensor:
    """The hard-superpixelated image (Eq 1): the mean over the pixels of the same superpixel.

    Args:
        assignment: P, (B, N, H, W); a pixel belongs to its largest entry.
        image: (B, C, H, W).

    Returns:
        (B, C, H, W); differentiable in ``image`` only.
    """
    owner = assignment.argmax(1, keepdim=True)  # (B, 1, H, W)
    one_hot = torch.zeros_like(assignment).scatter_(1, owner, 1.0)  # (B, N, H, W)
    return soft_image(one_hot, image)


def _check_pixels(assignment: Tensor, features: Tensor) -> None:
    if assignment.dim() != 4 or features.dim() != 4:
        raise ValueError(
            "pool: assignment must be (B, N, H, W) and features (B, C, H, W), got "
            f"{tuple(assignment.shape)} and {tuple(features.shape)}"
        )
    if assignment.shape[0] != features.shape[0] or assignment.shape[2:] != features.shape[2:]:
        raise ValueError(
            f"pool: assignment {tuple(assignment.shape)} and features {tuple(features.shape)} "
            "must agree in batch and in height and width"
        )
