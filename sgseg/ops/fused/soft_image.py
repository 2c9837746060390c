"""Eq 2 and its gradient as one matrix product each, with P alone kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..precision import backward_pass, inverse_mass
from ..shapes import same_pixels


class _SoftImage(Function):
    """The image painted by superpixel means: P (B, N, H, W), image (B, C, H, W) -> (B, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, assignment: Tensor, image: Tensor) -> Tensor:
        weight, bands = assignment.flatten(2), image.flatten(2)  # (B, N, HW), (B, C, HW)
        inverse = inverse_mass(weight.sum(2, keepdim=True))  # (B, N, 1)
        nodes = (weight @ bands.transpose(1, 2)) * inverse  # (B, N, C)
        ctx.save_for_backward(assignment, image, nodes, inverse)
        return (nodes.transpose(1, 2) @ weight).view_as(image)  # (B, C, H, W)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        assignment, image, nodes, inverse = ctx.saved_tensors
        slope, weight = slope.flatten(2), assignment.flatten(2)  # (B, C, HW), (B, N, HW)
        # Gradients by the sums under a superpixel, and by its mass.
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


def soft_image(assignment: Tensor, image: Tensor) -> Tensor:
    """See :func:`sgseg.ops.superpixel.soft_image`."""
    same_pixels("soft_image", assignment, image)
    return _SoftImage.apply(assignment, image)
