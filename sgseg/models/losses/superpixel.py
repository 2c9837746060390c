"""The four superpixel losses of Eq 8; each needs a superpixel backbone."""

from __future__ import annotations

import torch
from torch import Tensor

from ...ops.image import Normalise, divergence, edge_map, smoothness, squared_error
from ...ops.information import clustering_objective
from ...ops.local_assignment import Assignment
from ...ops.superpixel import soft_image
from ...registry import MODELS
from ...structures import SegState, SoftImage, Superpixels
from .base import SegLoss


def _superpixels(state: SegState, loss: SegLoss) -> Superpixels:
    if state.superpixels is None:
        raise ValueError(
            f"{type(loss).__name__} needs superpixels, but the model has no backbone: remove the "
            "loss from the config or give the model a backbone"
        )
    return state.superpixels


def _soft_image(state: SegState, assignment: Assignment) -> Tensor:
    """Eq 2, made once for all losses of a step that read it."""
    made, source = state.soft_image, (assignment, state.image)
    trained = torch.is_grad_enabled() and any(x.requires_grad for x in source)
    if (
        made is None
        or made.assignment is not assignment
        or made.image is not state.image
        or made.soft.requires_grad != trained
    ):
        made = state.soft_image = SoftImage(*source, soft_image(*source))
    return made.soft


@MODELS.register_module()
class ClusteringLoss(SegLoss):
    """Sure pixels, evenly used superpixels (Eq 9).

    Args:
        weight: factor in the total; 1 in Eq 8.
        balance: lambda, 2 in the paper.
    """

    part = "superpixel"

    def __init__(self, weight: float = 1.0, balance: float = 2.0) -> None:
        super().__init__(weight)
        self.balance = balance

    def term(self, state: SegState) -> Tensor:
        """Eq 9, mean over the batch."""
        return clustering_objective(_superpixels(state, self).assignment, self.balance)


@MODELS.register_module()
class SmoothnessLoss(SegLoss):
    """Superpixels change only where the image does (Eq 10).

    Args:
        weight: alpha of Eq 8, 2 or 1 in Table 12.
        sigma: 10 in the paper, for a standardised image.
    """

    part = "superpixel"

    def __init__(self, weight: float = 2.0, sigma: float = 10.0) -> None:
        super().__init__(weight)
        self.sigma = sigma

    def term(self, state: SegState) -> Tensor:
        """Eq 10, mean over the batch."""
        return smoothness(_superpixels(state, self).assignment, state.image, self.sigma)


@MODELS.register_module()
class SuperpixelReconstructionLoss(SegLoss):
    """The network's image (Eq 11) and the soft superpixel image resemble the input (Eq 12).

    The paper divides by three bands; this divides by the bands there are.

    Args:
        weight: beta of Eq 8, 5 in Table 12.
    """

    part = "superpixel"

    def __init__(self, weight: float = 5.0) -> None:
        super().__init__(weight)

    def term(self, state: SegState) -> Tensor:
        """Eq 12, mean over the batch."""
        superpixels = _superpixels(state, self)
        soft = _soft_image(state, superpixels.assignment)
        own = squared_error(state.image, superpixels.reconstruction)
        return own + squared_error(state.image, soft)


@MODELS.register_module()
class EdgeLoss(SegLoss):
    """Edges of the input, the network's image and the soft superpixel image agree (Eq 13).

    Args:
        weight: eta of Eq 8, called gamma in Table 12; 1 or 0.5.
        normalise: ``max`` divides the Laplacian by its largest magnitude, ``none`` does not.
        temperature: divides the Laplacian before the softmax.
    """

    part = "superpixel"

    def __init__(
        self, weight: float = 1.0, normalise: Normalise = "max", temperature: float = 1.0
    ) -> None:
        super().__init__(weight)
        self.normalise: Normalise = normalise
        self.temperature = temperature

    def term(self, state: SegState) -> Tensor:
        """Eq 13, mean over bands and batch."""
        superpixels = _superpixels(state, self)
        target, own, soft = (
            edge_map(image, self.normalise, self.temperature)
            for image in (
                state.image,
                superpixels.reconstruction,
                _soft_image(state, superpixels.assignment),
            )
        )
        return divergence(target, own) + divergence(target, soft)
