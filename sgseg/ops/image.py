"""Smoothness, total variation and edges of maps.

Shapes: maps (B, C, H, W). Differences are forward differences at the positions that have a next
pixel; sums are divided by H*W as the paper writes. Source: Eq 10, 13 and 17.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from . import fused
from .fused import fused_by
from .local_assignment import Assignment, LocalAssignment
from .local_forms import joined_changes, local_changes
from .precision import full_precision
from .shapes import same_pixels

Normalise = Literal["max", "none"]
Reduction = Literal["mean", "sum"]


def differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences along the width and along the height.

    Args:
        x: (..., H, W).

    Returns:
        (..., H, W - 1) and (..., H - 1, W).
    """
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


@fused_by(fused.changes)
def changes(x: Assignment) -> Tensor:
    """L1 norms over the channels of the forward differences.

    Args:
        x: (B, C, H, W); P in either form.

    Returns:
        (B, 2, H, W): along the width, then along the height; zero where there is no next pixel.
    """
    if isinstance(x, LocalAssignment):
        return local_changes(x.weight, x.cells) if x.joined is None else joined_changes(x)
    along_x, along_y = (change.abs().sum(1) for change in differences(x))
    return torch.stack([F.pad(along_x, (0, 1)), F.pad(along_y, (0, 0, 0, 1))], 1)


@full_precision
def smoothness(assignment: Assignment, image: Tensor, sigma: float = 10.0) -> Tensor:
    r"""Change of P where the image does not change (Eq 10).

    .. math:: \frac{1}{HW} \sum_{p} \sum_{d \in \{x, y\}}
              \|\partial_d P_p\|_1 \, e^{-\|\partial_d I_p\|_2^2 / \sigma}

    Args:
        assignment: P, (B, N, H, W), in either form.
        image: (B, C, H, W), standardised: with values in [0, 1] and sigma = 10 the weight is
            one everywhere and edges do not count.
        sigma: the squared image difference at which the penalty falls to 1/e.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: if batch or image sizes differ, or sigma is not positive.
    """
    same_pixels("smoothness", assignment, image)
    if sigma <= 0:
        raise ValueError(f"smoothness: sigma = {sigma} must be > 0; the paper has 10")
    pixels = assignment.shape[0] * assignment.shape[2] * assignment.shape[3]
    along_x, along_y = (edge.square().sum(1) for edge in differences(image))
    edges = torch.stack([F.pad(along_x, (0, 1)), F.pad(along_y, (0, 0, 0, 1))], 1)  # (B, 2, H, W)
    return (changes(assignment) * torch.exp(-edges / sigma)).sum() / pixels


@full_precision
def total_variation(x: Tensor) -> Tensor:
    r"""Anisotropic total variation, summed over channels and divided by H*W (Eq 17).

    .. math:: \frac{1}{HW} \sum_p \|\partial_x \tilde M_p\|_1 + \|\partial_y \tilde M_p\|_1

    Args:
        x: (B, C, H, W).

    Returns:
        Scalar, the mean over the batch.
    """
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    return changes(x).sum() / pixels


@full_precision
def squared_error(image: Tensor, other: Tensor, reduction: Reduction = "mean") -> Tensor:
    r"""Squared difference of two images (a term of Eq 11, 12 and 20).

    .. math:: \frac{1}{CHW} \|I - \hat I\|_2^2

    Args:
        image, other: (B, C, H, W).
        reduction: ``mean`` over bands and pixels, or their ``sum`` without the fraction.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: if the shapes differ.
    """
    if image.shape != other.shape:
        raise ValueError(
            f"squared_error: images of {tuple(image.shape)} and {tuple(other.shape)} differ; give "
            "an image and its reconstruction"
        )
    squares = (image - other).square()  # (B, C, H, W)
    return squares.mean() if reduction == "mean" else squares.sum() / len(squares)


def _reflected(x: Tensor, dim: int) -> Tensor:
    """One more entry at both ends of ``dim``: the second and the last but one.

    As ``F.pad(mode="reflect")``, whose backward pass on GPUs adds in an order left to chance.
    """
    first, last = x.narrow(dim, 1, 1), x.narrow(dim, x.shape[dim] - 2, 1)
    return torch.cat([first, x, last], dim)


@fused_by(fused.laplacian)
def laplacian(image: Tensor) -> Tensor:
    """Differences to the eight neighbours, added: (B, C, H, W), reflected at the border."""
    padded = _reflected(_reflected(image, 3), 2)  # (B, C, H+2, W+2)
    # Sum over the 3x3 window minus nine times the centre: ones with -8 in the middle.
    return 9.0 * (F.avg_pool2d(padded, 3, stride=1) - image)


@full_precision
def edge_map(image: Tensor, normalise: Normalise = "max", temperature: float = 1.0) -> Tensor:
    """Logarithm of the edge distribution: softmax of the Laplacian over all positions (Eq 13).

    Args:
        image: (B, C, H, W) with H, W >= 2 (reflected at the border).
        normalise: ``max`` divides the 8-neighbour Laplacian of each channel by its largest
            magnitude first, ``none`` is the paper's literal text.
        temperature: divides the Laplacian; below one sharpens an otherwise nearly flat map.

    Returns:
        Log-probabilities, (B, C, H*W).

    Raises:
        ValueError: if the image is thinner than two pixels or ``normalise`` is unknown.
    """
    if min(image.shape[2:]) < 2:
        raise ValueError(
            f"edge_map: image of {image.shape[2]} x {image.shape[3]} pixels; edges need at least "
            "2 x 2: use larger images or leave the edge loss out"
        )
    if normalise not in ("max", "none"):
        raise ValueError(f"edge_map: normalise = {normalise!r}; choose 'max' or 'none'")
    response = laplacian(image).flatten(2)  # (B, C, HW)
    if normalise == "max":
        # A nearly flat image has no edges to blow up; the floor keeps its gradient bounded.
        response = response / response.abs().amax(2, keepdim=True).clamp_min(1e-2)
    return torch.log_softmax(response / temperature, 2)


def divergence(target: Tensor, predicted: Tensor) -> Tensor:
    """KL(target || predicted) of two edge maps, (B, C, HW) each; mean over channels and batch."""
    return (target.exp() * (target - predicted)).sum(2).mean()


@full_precision
def edge_divergence(
    image: Tensor, other: Tensor, normalise: Normalise = "max", temperature: float = 1.0
) -> Tensor:
    """KL(E_image || E_other) of the two edge distributions, one term of Eq 13.

    Args:
        image, other: (B, C, H, W).
        normalise, temperature: see :func:`edge_map`.

    Returns:
        Scalar >= 0, the mean over channels and batch; 0 for equal images.

    Raises:
        ValueError: if the shapes differ, and as :func:`edge_map`.
    """
    if image.shape != other.shape:
        raise ValueError(
            f"edge_divergence: images of {tuple(image.shape)} and {tuple(other.shape)} differ"
        )
    return divergence(*(edge_map(x, normalise, temperature) for x in (image, other)))
