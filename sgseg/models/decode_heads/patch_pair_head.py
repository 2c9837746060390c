"""PatchPairHead: how two windows of features lie to each other (Doersch, Isola)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ..layers import ConvNormAct, kaiming_


@MODELS.register_module()
class PatchPairHead(nn.Module):
    """One network for both windows, joined into logits.

    3x3 convolution, normalisation, ReLU on each window alone; both flattened, then a hidden layer
    with dropout.

    Shapes: two windows (B, in_channels, side, side) -> logits (B, outputs).

    Args:
        in_channels: width of the trunk.
        outputs: number of logits.
        side: of the windows, 11 in IIC.
        hidden_channels: of the convolution and of the hidden layer; default twice
            ``in_channels``, which is IIC's 1024. At that size the hidden layer alone has 254
            million weights.
        pool: average each window to pool x pool before it is flattened; None keeps every pixel.
        dropout: share of the hidden layer left out.

    Source: IIC's copies of Doersch et al. (ICCV 2015) and Isola et al. (2016),
    code/archs/segmentation/baselines.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int = 11,
        hidden_channels: int | None = None,
        pool: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        hidden = hidden_channels or 2 * in_channels
        self.single = nn.Sequential(
            *ConvNormAct(in_channels, hidden, bias=True),
            nn.Identity() if pool is None else nn.AdaptiveAvgPool2d(pool),
            nn.Flatten(),
        )
        self.joined = nn.Sequential(
            nn.Linear(2 * hidden * (pool or side) ** 2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )
        kaiming_(self)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits of the pair."""
        return self.joined(torch.cat([self.single(first), self.single(second)], 1))
