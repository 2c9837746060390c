"""Convolution, batch normalisation, ReLU: what most layers of the compared networks are."""

from __future__ import annotations

from torch import nn


class ConvNormAct(nn.Sequential):
    """A convolution that keeps the size, batch normalisation and ReLU.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride), fewer rows and
    columns where ``padding`` is below ``dilation * (kernel // 2)``.

    Args:
        in_channels, out_channels: channels.
        kernel: side of the window, odd.
        stride, dilation: of the convolution.
        padding: default: as much as keeps the size.
        bias: of the convolution; batch normalisation takes it out again.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        if padding is None:
            padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=bias),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
