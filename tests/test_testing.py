"""The plug-in checks accept what is right and name what is wrong."""

import pytest
import torch
from torch import Tensor, nn

from sgseg.models import (
    DGCNNBlock,
    DiffGCNBlock,
    MutualInformationLoss,
    PointNetBlock,
    PyGBlock,
    SegLoss,
    SmoothnessLoss,
    TotalVariationLoss,
)
from sgseg.structures import SegState
from sgseg.testing import check_block, check_loss


@pytest.mark.parametrize("block", [PointNetBlock, DGCNNBlock, DiffGCNBlock, PyGBlock])
def test_our_blocks_pass(block: type[nn.Module]) -> None:
    """The contract holds for the blocks that ship."""
    check_block(block)


class _Wrong(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)


class OrderDependent(_Wrong):
    """Adds the node's number."""

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        return self.linear(x) + torch.arange(x.shape[1], dtype=x.dtype)[:, None]


class BatchDependent(_Wrong):
    """Subtracts the mean of the batch."""

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        return self.linear(x - x.mean((0, 1)))


class WrongShape(_Wrong):
    """Drops a channel."""

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        return self.linear(x)[..., 1:]


class WrongGradient(_Wrong):
    """Hides half of the gradient."""

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        return self.linear(x) + x - x.detach()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (OrderDependent, "permuting"),
        (BatchDependent, "other images"),
        (WrongShape, "must return"),
        (WrongGradient, "finite differences"),
    ],
)
def test_wrong_blocks_are_named(block: type[nn.Module], message: str) -> None:
    """Each broken promise is told by its own sentence."""
    with pytest.raises(AssertionError, match=message):
        check_block(block)


@pytest.mark.parametrize("loss", [MutualInformationLoss, SmoothnessLoss, TotalVariationLoss])
def test_our_losses_pass(loss: type[SegLoss]) -> None:
    """The contract holds for the losses that ship."""
    check_loss(loss())


class Altering(SegLoss):
    """Changes the image it reads."""

    def term(self, state: SegState) -> Tensor:
        state.image.add_(1)
        return state.projected.sum()


def test_loss_that_alters_its_input_is_named() -> None:
    """A loss must not change what the next loss reads."""
    with pytest.raises(AssertionError, match="alters"):
        check_loss(Altering())
