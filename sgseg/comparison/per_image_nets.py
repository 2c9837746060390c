"""The small networks that are trained on one image; shapes (B, C, H, W) -> (B, outputs, H, W)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NetName = Literal["rim", "eliasof"]


def build_net(name: NetName, in_channels: int, outputs: int, width: int = 32) -> nn.Module:
    """The network of RIM (Suzuki 2020), or the one of Eliasof et al. (2022).

    RIM: four 3x3 convolutions of 1, 2, 4 and 8 times ``width`` channels. Eliasof: two of 1 and 2
    times ``width``, their Laplacian beside them, an ASPP of dilations 1, 2, 4 and 8, and two more
    convolutions; its widths after the first two layers are this toolkit's choice. Both reflect
    at the border, normalise each instance and start from Xavier's normal weights.

    Args:
        name: ``rim`` or ``eliasof``.
        in_channels: bands and coordinates.
        outputs: channels of the result.
        width: of the first layer, 32 in both papers.
    """
    if name == "rim":
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width]
        net: nn.Module = nn.Sequential(
            *(_conv(a, b) for a, b in pairwise(widths)),
            nn.Conv2d(8 * width, outputs, 1),
        )
    else:
        net = _Eliasof(in_channels, outputs, width)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_normal_(layer.weight)
    return net


def _conv(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    # No bias: the normalisation after it would take it away.
    layer = nn.Conv2d(
        in_channels, out_channels, 3, 1, dilation, dilation, bias=False, padding_mode="reflect"
    )
    return nn.Sequential(layer, nn.InstanceNorm2d(out_channels, affine=True), nn.ReLU(inplace=True))


class _Eliasof(nn.Module):
    def __init__(self, in_channels: int, outputs: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(in_channels, width), _conv(width, 2 * width))
        self.pyramid = nn.ModuleList(_conv(4 * width, 2 * width, d) for d in (1, 2, 4, 8))
        self.tail = nn.Sequential(
            _conv(8 * width, 2 * width),
            _conv(2 * width, 2 * width),
            nn.Conv2d(2 * width, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 2w, H, W)
        means = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
        x = torch.cat([x, 9.0 * (means - x)], 1)  # (B, 4w, H, W)
        return self.tail(torch.cat([branch(x) for branch in self.pyramid], 1))
