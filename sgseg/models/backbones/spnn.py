"""SPNN, the superpixel network of Table 7."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import softmax
from ...ops.superpixel import coordinates
from ...registry import MODELS
from ...structures import Superpixels
from ..layers import ConvNormAct, DilatedDepthwise, recomputed, xavier_


class RecomputedSequential(nn.Sequential):
    """Blocks one after the other, of which the backward pass may compute most again.

    Args:
        checkpoint: keep the outputs of the convolutions, DWA's excepted, and recompute the rest.
        blocks: Conv-BN-ReLU blocks, and DWA.
    """

    def __init__(self, checkpoint: bool, *blocks: nn.Module) -> None:
        super().__init__(*blocks)
        self.checkpoint = checkpoint

    def forward(self, x: Tensor) -> Tensor:
        """Features of ``x``."""
        if not self.checkpoint:
            return super().forward(x)
        part: list[nn.Module] = []
        for layer in chain.from_iterable(
            block if isinstance(block, nn.Sequential) else [block] for block in self
        ):
            part.append(layer)
            if isinstance(layer, nn.Conv2d):
                cut = nn.Sequential(*part)
                x = recomputed(cut, x, owner=cut)
                part = []
        return nn.Sequential(*part)(x)


def spnn_trunk(
    in_channels: int, base_channels: int, stride: int = 1, checkpoint: bool = False
) -> RecomputedSequential:
    """Table 7 up to the classifier: (B, in_channels, H, W) -> (B, 8c, H / stride, W / stride)."""
    c = base_channels
    return RecomputedSequential(
        checkpoint,
        ConvNormAct(in_channels, c, 5, stride),
        ConvNormAct(c, 2 * c, 3),
        ConvNormAct(2 * c, 4 * c, 3),
        ConvNormAct(4 * c, 8 * c, 3),
        DilatedDepthwise(8 * c, (1, 2, 4)),
        ConvNormAct(24 * c, 8 * c, 3),
    )


@MODELS.register_module()
class SPNN(nn.Module):
    r"""Soft superpixels of an image, learned without labels (Eq 4, Table 7).

    .. math:: P = \mathrm{SoftMax}_N(\mathrm{SPNN}(I))

    Shapes: image (B, C, H, W) -> ``Superpixels(assignment (B, N, H, W),
    feature (B, 8 * base_channels, H, W), reconstruction (B, C, H, W))``.

    Args:
        in_channels: bands C of the image.
        num_superpixels: N, at least 2; how many stay alive is learned.
        base_channels: width of the first layer; 64 in the paper.
        with_coords: also feed the pixel coordinates, as RIM does and Table 7 does not. Without
            them superpixels are appearance classes spread over the image, not regions.
        logit_norm: instance normalisation of the N logits, as in RIM; not in Table 7.
        temperature: divides the logits; below one sharpens P.
        stride: of the first convolution. At 2 everything after it runs on a quarter of the
            pixels; logits, features and reconstruction are interpolated back to the image's
            size. Not in the paper.
        checkpoint: keep the convolutions' outputs alone and make what lies between them (BN, ReLU,
            the 24 * base_channels wide DWA) again in the backward pass. No convolution but the
            depthwise ones runs twice.

    Raises:
        ValueError: for an image with another number of bands, or a parameter out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_superpixels: int = 200,
        base_channels: int = 64,
        with_coords: bool = False,
        logit_norm: bool = False,
        temperature: float = 1.0,
        stride: int = 1,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if num_superpixels < 2 or min(base_channels, in_channels, stride) < 1 or temperature <= 0:
            raise ValueError(
                f"SPNN: num_superpixels = {num_superpixels} must be >= 2, base_channels = "
                f"{base_channels}, in_channels = {in_channels} and stride = {stride} >= 1, "
                f"temperature = {temperature} > 0"
            )
        self.in_channels = in_channels
        self.out_channels = 8 * base_channels
        self.num_superpixels = num_superpixels
        self.with_coords = with_coords
        self.logit_norm = logit_norm
        self.temperature = temperature
        self.stride = stride
        c = base_channels
        self.trunk = spnn_trunk(in_channels + 2 * with_coords, c, stride, checkpoint)
        self.classifier = nn.Conv2d(8 * c, num_superpixels + in_channels, 1)
        xavier_(self)

    def forward(self, image: Tensor, shift: Tensor | None = None) -> Superpixels:
        """Soft assignment, penultimate features and reconstruction of ``image``.

        Args:
            image: (B, C, H, W).
            shift: (B, 2) rows and columns by which the coordinates, not the image, are rolled;
                only with ``with_coords``. Kept on the CPU, so that reading it does not wait for
                a GPU.
        """
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"SPNN: expected images (B, {self.in_channels}, H, W), got {tuple(image.shape)}: "
                "set in_channels to the number of bands"
            )
        x = image
        if self.with_coords:
            xy = coordinates(*image.shape[2:], device=image.device, dtype=image.dtype)  # (2, H, W)
            if shift is None:
                xy = xy.expand(image.shape[0], -1, -1, -1)
            else:
                xy = torch.stack([xy.roll((down, right), (1, 2)) for down, right in shift.tolist()])
            x = torch.cat([image, xy], 1)  # (B, C+2, H, W)
        feature = self.trunk(x)  # (B, 8c, H/stride, W/stride)
        output = self.classifier(feature)  # (B, N+C, H/stride, W/stride)
        if self.stride > 1:
            feature, output = (
                F.interpolate(y, image.shape[2:], mode="bilinear") for y in (feature, output)
            )
        # Prepared for inference, the classifier leaves the reconstruction out: then it is empty.
        logits, reconstruction = output.tensor_split([self.num_superpixels], 1)
        if self.logit_norm:
            # torch's instance_norm in every case but one: it refuses an image of one pixel.
            variance, mean = torch.var_mean(logits, (2, 3), keepdim=True, correction=0)
            logits = (logits - mean) * (variance + 1e-5).rsqrt()
        return Superpixels(softmax(logits / self.temperature), feature, reconstruction)
