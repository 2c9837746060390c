"""Typed records passed between the parts of the model; they hold tensors and do nothing.

Shapes: B images, C bands, H x W pixels, N superpixels, D node channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from .ops.local_assignment import Assignment


class Superpixels(NamedTuple):
    """Superpixels of an image, as a backbone gives them (Eq 4)."""

    assignment: Assignment
    """P: (B, N, H, W), non-negative, sums to one over N; or nine numbers a pixel."""
    feature: Tensor
    """Per-pixel features pooled into the nodes: (B, F, H, W); F = 8 * base_channels for SPNN."""
    reconstruction: Tensor
    """The backbone's own image: (B, C, H, W)."""


class SoftImage(NamedTuple):
    """The soft superpixel image (Eq 2) and what it was made of."""

    assignment: Assignment
    image: Tensor
    soft: Tensor
    """(B, C, H, W)."""


class View(NamedTuple):
    """One raster-order reading of an image by the decode head (Eq 7)."""

    probability: Tensor
    """(B, K, H, W), sums to one over K."""
    reconstruction: Tensor
    """The head's own image: (B, C, H, W)."""


@dataclass
class SegState:
    """Everything the losses may read of one training step; a part that did not run is None.

    With two jittered views an image stands twice along the batch, so the superpixel fields hold
    2B entries while each reading holds B.
    """

    image: Tensor
    superpixels: Superpixels | None = None
    frozen: Tensor | None = None
    """Features of a network that stays as it is, on every pixel: (B, G, H, W)."""
    nodes: Tensor | None = None
    """Pooled features, positions first: (B, N, 2 + C + F), frozen features last (Eq 3)."""
    refined: Tensor | None = None
    """Node features after the neck: (B, N, D) (Eq 5)."""
    projected: Tensor | None = None
    """Node features painted back onto the pixels: (B, D, H, W) (Eq 6)."""
    views: tuple[View, View] | None = None
    """The two readings, aligned to each other pixel by pixel."""
    view_images: tuple[Tensor, Tensor] | None = None
    """The image each reading saw, the target of its reconstruction: (B, C, H, W) each."""
    soft_image: SoftImage | None = None
    """Left by the first loss that needs it to those that follow."""
    probability: Tensor | None = None
    """The prediction at inference: (B, K, H, W)."""
