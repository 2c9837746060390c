"""DWA of Table 7: depthwise dilated convolutions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DilatedDepthwise(nn.Module):
    """3x3 depthwise convolutions of several dilations, joined along the channels.

    The paper names neither normalisation nor activation here, so there is none.

    Shapes: input (B, C, H, W), output (B, C * len(dilations), H, W).
    """

    def __init__(self, channels: int, dilations: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=d, dilation=d, groups=channels)
            for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """All branches of ``x``, in the order of the dilations."""
        if x.device.type == "cpu":
            # torch 2.13: the weights' gradient of this convolution in bfloat16, channels last, is
            # garbage of 1e17 and more, and writes outside its memory (measured, oneDNN).
            with torch.autocast("cpu", enabled=False):
                return self._join(x.to(next(self.parameters()).dtype))
        return self._join(x)

    def _join(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)
