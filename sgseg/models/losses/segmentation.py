"""The two losses of the decode head (Eq 18-21)."""

from __future__ import annotations

from typing import get_args

from torch import Tensor

from ...ops.image import Reduction, squared_error
from ...ops.information import information_of_joint, joint_counts
from ...registry import MODELS
from ...structures import SegState, View
from ..layers import over_ranks
from .base import SegLoss


def _views(state: SegState, loss: SegLoss) -> tuple[View, View]:
    if state.views is None:
        raise ValueError(f"{type(loss).__name__} needs the head's two readings of the image")
    return state.views


@MODELS.register_module()
class MutualInformationLoss(SegLoss):
    """Negative mutual information of the two readings (Eq 18-19), in nats.

    Over several ranks the joint is summed before the logarithm, so the loss and its gradient are
    those of the whole batch.

    Args:
        weight: factor in the total; 1 in Eq 21.
        half_window: T, largest displacement in pixels between the compared positions; 0 is
            Eq 19 as written, IIC uses 10.
        balance: weight of the marginal entropies; above one favours equally used classes.
        symmetric: count every pair in both directions, as IIC does.
        collapsed: sum the joints over the displacements before the logarithm (IIC's other
            form); else the mean over the displacements is taken behind it.
    """

    def __init__(
        self,
        weight: float = 1.0,
        half_window: int = 0,
        balance: float = 1.0,
        symmetric: bool = False,
        collapsed: bool = False,
    ) -> None:
        super().__init__(weight)
        self.half_window = half_window
        self.balance = balance
        self.symmetric = symmetric
        self.collapsed = collapsed

    def term(self, state: SegState) -> Tensor:
        """Minus Eq 19."""
        first, second = _views(state, self)
        joint = joint_counts(first.probability, second.probability, self.half_window)
        joint = over_ranks(joint)
        if self.collapsed:
            joint = joint.sum(0, keepdim=True)  # (1, K, K)
        if self.symmetric:
            joint = joint + joint.mT
        return -information_of_joint(joint, self.balance)


@MODELS.register_module()
class ImageReconstructionLoss(SegLoss):
    """Both readings rebuild the image they saw (Eq 20).

    Args:
        weight: 1 in Eq 21.
        reduction: ``mean`` over pixels and bands, or the bare ``sum`` that Eq 20 prints, which
            outweighs the mutual information by four orders of magnitude; either is averaged over
            the batch.

    Raises:
        ValueError: for another reduction.
    """

    def __init__(self, weight: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(weight)
        if reduction not in get_args(Reduction):
            raise ValueError(
                f"ImageReconstructionLoss: reduction = {reduction!r}; choose one of "
                f"{get_args(Reduction)}"
            )
        self.reduction: Reduction = reduction

    def term(self, state: SegState) -> Tensor:
        """Eq 20, summed over the two readings."""
        first, second = _views(state, self)
        if state.view_images is None:
            raise ValueError("ImageReconstructionLoss needs the images that the readings saw")
        own, other = state.view_images
        return squared_error(first.reconstruction, own, self.reduction) + squared_error(
            second.reconstruction, other, self.reduction
        )
