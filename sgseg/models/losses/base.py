"""Base class of losses: a weight, the part of the model it trains, and a scalar of the state."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from ...structures import SegState

Part = Literal["superpixel", "segmentation"]


class SegLoss(nn.Module):
    """Base of all losses. A subclass writes ``term`` and names its ``part``.

    ``part`` decides in which stages the loss runs: ``superpixel`` losses need only the backbone,
    ``segmentation`` losses need the whole model.

    Args:
        weight: factor of the term in the total (Eq 8 and 22).
    """

    part: ClassVar[Part] = "segmentation"

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def term(self, state: SegState) -> Tensor:
        """The unweighted scalar."""
        raise NotImplementedError(f"{type(self).__name__} must define term(state)")

    def forward(self, state: SegState) -> Tensor:
        """The weighted scalar."""
        return self.weight * self.term(state)
