"""The autoregressive, rasterised 3x3 convolution of AC (Ouali et al., ECCV 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.raster import NUM_ORDERS, raster_mask, raster_padding


class RasterConv2d(nn.Module):
    """3x3 convolution without bias that sees only what a raster scan has visited.

    One weight serves all orders; an order moves the window and masks the taps that lie ahead.

    Shapes: input (B, C_in, H, W), output (B, C_out, H, W).

    Args:
        in_channels, out_channels: channels.
        shift: the window covers the current line and the two before it (eight live taps), as in
            AC; False centres the window (five live taps, PixelCNN).
        include_centre: whether a pixel sees itself.
    """

    masks: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, shift: bool = True, include_centre: bool = True
    ) -> None:
        super().__init__()
        self.shift = shift
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        masks = [raster_mask(o, shift, include_centre).float() for o in range(NUM_ORDERS + 1)]
        self.register_buffer("masks", torch.stack(masks), persistent=False)  # (9, 3, 3)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor, order: int = 0) -> Tensor:
        """Convolve ``x`` in raster order 1..8, or with all nine taps for order 0."""
        if order == 0:
            return F.conv2d(x, self.weight, padding=1)
        padded = F.pad(x, raster_padding(order, self.shift))
        return F.conv2d(padded, self.weight * self.masks[order].to(self.weight.dtype))

    def extra_repr(self) -> str:
        """Channels and window, for ``print(model)``."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, shift={self.shift}"
