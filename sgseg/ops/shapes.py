"""Checks of shapes that several equations share, with errors that say what to give instead."""

from __future__ import annotations

from torch import Tensor

from .local_assignment import Assignment


def same_pixels(name: str, assignment: Assignment, features: Tensor) -> None:
    """Refuse an assignment and features of different images.

    Args:
        name: of the function that asks.
        assignment: wanted (B, N, H, W), or a record of that shape.
        features: wanted (B, C, H, W).

    Raises:
        ValueError: if one has not four dimensions, or batch, height or width differ.
    """
    shapes = f"assignment {tuple(assignment.shape)} and features {tuple(features.shape)}"
    if len(assignment.shape) != 4 or features.dim() != 4:
        raise ValueError(f"{name}: {shapes} must be (B, N, H, W) and (B, C, H, W)")
    if assignment.shape[0] != features.shape[0] or assignment.shape[2:] != features.shape[2:]:
        raise ValueError(f"{name}: {shapes} must agree in batch and in height and width")
