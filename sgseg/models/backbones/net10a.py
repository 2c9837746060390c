"""Net10a, the trunk that IIC and the baselines beside it share (SegmentationNet10a)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...ops.photometry import sobel
from ...registry import MODELS
from ..layers import ConvNormAct, kaiming_


@MODELS.register_module()
class Net10a(nn.Module):
    """Six 3x3 convolutions, one pooling, the last two dilated by 2; field of view 30 pixels.

    Widths c, 2c, pool, 4c, 4c, 8c, 8c; Kaiming initialisation.

    Shapes: image (B, C, H, W) -> (B, 8c, H/2, W/2), four rows and columns fewer with
    ``pad_like_iic``.

    Args:
        in_channels: C, bands of the image.
        base_channels: c, 64 in IIC.
        sobel: see gradients of grey beside R, G, B in [0, 1], as IIC does on COCO-Stuff. They are
            taken after every jitter, which a transform of the data cannot. With another number of
            bands the network sees the bands alone, as IIC's does on Potsdam.
        pad_like_iic: the dilated layers are padded by 1 as in IIC's code, so each loses two
            pixels and the map no longer lies square on the image. False pads by 2.
        bgr_like_iic: see B, G, R as IIC's code does, which takes them for R, G, B in its grey.

    Raises:
        ValueError: for an image too small to leave a pixel.

    Source: IIC (Ji et al., ICCV 2019), code/archs/segmentation/net10a.py.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        sobel: bool = True,
        pad_like_iic: bool = True,
        bgr_like_iic: bool = False,
    ) -> None:
        super().__init__()
        c, padding = base_channels, 1 if pad_like_iic else 2
        self.sobel = sobel and in_channels == 3
        self.bgr_like_iic = bgr_like_iic
        self.smallest = 10 if pad_like_iic else 2
        self.out_channels = 8 * c
        self.layers = nn.Sequential(
            ConvNormAct(in_channels + 2 * self.sobel, c),
            ConvNormAct(c, 2 * c),
            nn.MaxPool2d(2),
            ConvNormAct(2 * c, 4 * c),
            ConvNormAct(4 * c, 4 * c),
            ConvNormAct(4 * c, 8 * c, padding=padding, dilation=2),
            ConvNormAct(8 * c, 8 * c, padding=padding, dilation=2),
        )
        kaiming_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Features of ``image``."""
        if min(image.shape[2:]) < self.smallest:
            raise ValueError(
                f"Net10a: image of {image.shape[2]} x {image.shape[3]} pixels, at least "
                f"{self.smallest} x {self.smallest} are needed: use larger images"
            )
        if self.bgr_like_iic:
            image = torch.cat([image[:, :3].flip(1), image[:, 3:]], 1)
        x = torch.cat([image, sobel(image)], 1) if self.sobel else image  # (B, C+2, H, W)
        return self.layers(x)  # (B, 8c, H', W')
