"""ACHead, the segmentation network of Tables 9 and 10."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import softmax
from ...registry import MODELS
from ...structures import View
from ..layers import ConvNormAct, RasterAttention, RasterConv2d, recomputed, xavier_


class RasterBlock(nn.Module):
    """Residual block whose first convolution is a raster convolution (Table 9).

    Shapes: input (B, C_in, H, W), output (B, C_out, H, W), C_out >= C_in; the shortcut is padded
    with zero channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shift: bool,
        include_centre: bool,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.widening = out_channels - in_channels
        self.raster = RasterConv2d(in_channels, out_channels, shift, include_centre)
        self.norm = nn.BatchNorm2d(out_channels)
        self.mix = ConvNormAct(out_channels, out_channels, 1)
        self.refine = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(out_channels, out_channels, 1), nn.Conv2d(out_channels, out_channels, 1)
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor, order: int) -> Tensor:
        """Refine ``x`` in raster ``order``."""
        if self.checkpoint:
            return recomputed(self._read, x, order, owner=self)
        return self._read(x, order)

    def _read(self, x: Tensor, order: int) -> Tensor:
        y = self.mix(F.relu(self.norm(self.raster(x, order))))  # (B, C_out, H, W)
        y = y + F.pad(x, (0, 0, 0, 0, 0, self.widening))
        for refine in self.refine:
            y = y + refine(y)
        return y


@MODELS.register_module()
class ACHead(nn.Module):
    r"""Class probabilities and an image reconstruction, read in one raster order (Eq 7, Table 10).

    .. math:: \hat M_r = \mathrm{SoftMax}(\mathrm{CNN}_r(I \oplus \tilde M))

    Shapes: input (B, in_channels, H, W), H and W >= 2, odd sizes allowed ->
    ``View(probability (B, K, H, W), reconstruction (B, image_channels, H, W))``.

    Args:
        in_channels: bands plus node channels (67 for RGB in the paper).
        num_classes: K.
        image_channels: bands of the reconstruction; 0 for none (AC).
        base_channels: width of the stem; 64 in the paper.
        multipliers: width of each residual block in units of ``base_channels``; (2, 2, 4, 8) is
            Table 10, (2, 4, 8, 16) the doubling that Table 9 and AC name. AC uses 2 to 4 blocks.
        output_stride: pixels of the image per pixel of the blocks, 2 (Table 10) or 4.
        attention: a :class:`RasterAttention` after the blocks (AC).
        shift, include_centre: window of the raster convolutions, see :class:`RasterConv2d`.
        checkpoint: keep the residual blocks' inputs alone and run each block again in the backward
            pass.

    Raises:
        ValueError: for shrinking widths or an input of another width or under 2 x 2 pixels.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_channels: int = 3,
        base_channels: int = 64,
        multipliers: Sequence[int] = (2, 2, 4, 8),
        shift: bool = True,
        include_centre: bool = True,
        checkpoint: bool = False,
        output_stride: int = 2,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if output_stride not in (2, 4):
            raise ValueError(f"ACHead: output_stride = {output_stride}; choose 2 or 4")
        widths = [base_channels * m for m in (1, *multipliers)]
        if num_classes < 2 or widths != sorted(widths):
            raise ValueError(
                f"ACHead: num_classes = {num_classes} must be >= 2 and multipliers = "
                f"{tuple(multipliers)} must not shrink"
            )
        if in_channels < 1 or base_channels < 1:
            raise ValueError(
                f"ACHead: in_channels = {in_channels} and base_channels = {base_channels} must be "
                ">= 1"
            )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.stem = nn.Sequential(
            *ConvNormAct(in_channels, base_channels, stride=output_stride // 2),
            # At stride 4 an image of 2 x 2 has one pixel left here, which is to survive.
            nn.MaxPool2d(2, ceil_mode=output_stride == 4),
        )
        self.blocks = nn.ModuleList(
            RasterBlock(narrow, wide, shift, include_centre, checkpoint)
            for narrow, wide in pairwise(widths)
        )
        if attention:
            self.blocks.append(RasterAttention(widths[-1]))
        outputs = num_classes + image_channels
        self.classifier = nn.Sequential(
            nn.Conv2d(widths[-1], outputs, 1), nn.Conv2d(outputs, outputs, 1)
        )
        self.to_image = None
        if image_channels:
            self.to_image = nn.Conv2d(outputs, image_channels, 3, padding=1)
        xavier_(self)

    def forward(self, x: Tensor, order: int = 0) -> View:
        """Read ``x`` in raster ``order`` 1..8; order 0, without mask, is for inference."""
        logits = self._logits(self._stem(x), order)  # (B, K+C, H/2, W/2)
        logits = F.interpolate(logits, x.shape[2:], mode="bilinear")  # (B, K+C, H, W)
        probability = softmax(logits[:, : self.num_classes])
        image = logits[:, :0] if self.to_image is None else self.to_image(logits)
        return View(probability, image)

    def probability(self, x: Tensor, orders: Sequence[int] = (0,)) -> Tensor:
        """Mean probability over ``orders``, (B, K, H, W), for inference.

        The stem, which knows no order, runs once, and no image is reconstructed.
        """
        stem = self._stem(x)  # (B, base, H/2, W/2)
        total = x.new_zeros(())
        for order in orders:
            logits = self._logits(stem, order)[:, : self.num_classes]  # (B, K, H/2, W/2)
            logits = F.interpolate(logits, x.shape[2:], mode="bilinear")  # (B, K, H, W)
            total = total + softmax(logits)
        return total / len(orders)

    def _stem(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.in_channels or min(x.shape[2:]) < 2:
            raise ValueError(
                f"ACHead: expected (B, {self.in_channels}, H, W) with H, W >= 2, got "
                f"{tuple(x.shape)}: set in_channels to bands + node channels"
            )
        return self.stem(x)

    def _logits(self, x: Tensor, order: int) -> Tensor:
        for block in self.blocks:
            x = block(x, order)
        return self.classifier(x)
