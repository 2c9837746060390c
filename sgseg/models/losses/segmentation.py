"""The two losses of the decode head (Eq 18-21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from ...ops.image import Reduction, squared_error
from ...ops.information import (
    divergence,
    entropy,
    information_of_joint,
    joint_counts,
    normalised_shares,
    usage_of_joint,
)
from ...registry import MODELS
from ...structures import SegState, View
from ..layers import over_ranks
from .base import SegLoss

MEMORY = 0.98
"""Part of the steps before in the running usage of the classes."""


def _views(state: SegState, loss: SegLoss) -> tuple[View, View]:
    if state.views is None:
        raise ValueError(f"{type(loss).__name__} needs the head's two readings of the image")
    return state.views


@MODELS.register_module()
class MutualInformationLoss(SegLoss):
    r"""Negative mutual information of the two readings (Eq 18-19), in nats.

    Over several ranks the joint is summed before the logarithm, so the loss and its gradient are
    those of the whole batch.

    **Told the sizes.** The mutual information of readings that agree is largest for classes of one
    size. With ``shares`` s its pull to equal sizes is taken out, and one to these put in:

    .. math:: -I_\lambda + (2 \lambda - 1) H(\hat u) + w \, KL(\hat u \,\|\, s)

    where u is the mean of the two readings' marginals in the batch (a running mean instead
    overshoots, until one class has all pixels). A running mean of u decides which class is to have
    the largest share: a fixed one would grow from whatever it began with.

    Args:
        weight: factor in the total; 1 in Eq 21.
        half_window: T, largest displacement in pixels between the compared positions; 0 is
            Eq 19 as written, IIC uses 10.
        balance: weight of the marginal entropies; above one favours equally used classes.
        symmetric: count every pair in both directions, as IIC does.
        collapsed: sum the joints over the displacements before the logarithm (IIC's other
            form); else the mean over the displacements is taken behind it.
        shares: rough share of the pixels that each class has, in any order; one number a class.
            They are divided by their sum.
        shares_weight: w, strength of the pull to ``shares``; with equal ones, 2 lambda - 1 is as
            ``balance = lambda``.

    Attributes:
        shares: largest first, with sum 1; None where nothing was told.
        usage: (K,) running mean of u; only with shares.

    Raises:
        ValueError: for shares that are not positive or whose sum is far from 1, or a
            ``shares_weight`` that is not; in ``term`` for another number of classes than of shares.
    """

    usage: Tensor

    def __init__(
        self,
        weight: float = 1.0,
        half_window: int = 0,
        balance: float = 1.0,
        symmetric: bool = False,
        collapsed: bool = False,
        shares: Sequence[float] | None = None,
        shares_weight: float = 2.5,
    ) -> None:
        super().__init__(weight)
        if shares_weight <= 0:
            raise ValueError(
                f"MutualInformationLoss: shares_weight = {shares_weight} must be above 0; without "
                "shares nothing is pulled to them"
            )
        self.half_window = half_window
        self.balance = balance
        self.symmetric = symmetric
        self.collapsed = collapsed
        self.shares = None if shares is None else normalised_shares(shares)
        self.shares_weight = shares_weight
        if self.shares is not None:
            self.register_buffer("usage", torch.full((len(self.shares),), 1 / len(self.shares)))

    def term(self, state: SegState) -> Tensor:
        """Minus Eq 19, and the pull to the shares."""
        first, second = _views(state, self)
        joint = joint_counts(first.probability, second.probability, self.half_window)
        joint = over_ranks(joint)
        if self.collapsed:
            joint = joint.sum(0, keepdim=True)  # (1, K, K)
        if self.symmetric:
            joint = joint + joint.mT
        loss = -information_of_joint(joint, self.balance)
        if self.shares is None:
            return loss
        usage = usage_of_joint(joint)  # (K,)
        if len(usage) != len(self.shares):
            raise ValueError(
                f"MutualInformationLoss: {len(self.shares)} shares for {len(usage)} classes: give "
                "one for each class (--shares sets --num-classes as well)"
            )
        self.usage.lerp_(usage.detach().to(self.usage), 1 - MEMORY)
        wanted = torch.empty_like(usage)
        order = self.usage.argsort(descending=True, stable=True)
        wanted[order] = usage.new_tensor(self.shares)
        equal = (2 * self.balance - 1) * entropy(usage, 0)
        return loss + equal + self.shares_weight * divergence(usage, wanted)


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
