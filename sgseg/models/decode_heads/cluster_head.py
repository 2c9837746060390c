"""ClusterHead, the classifier of IIC: one 1x1 convolution, softmax, then enlargement."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import softmax
from ...registry import MODELS
from ..layers import kaiming_


@MODELS.register_module()
class ClusterHead(nn.Module):
    r"""Class probabilities of a coarse feature map.

    .. math:: p = \mathrm{up}(\mathrm{SoftMax}(W f))

    The softmax comes before the bilinear enlargement, so the loss sees mixed probabilities at
    the borders of classes.

    Shapes: feature (B, in_channels, h, w) -> probability (B, K, H, W).

    Args:
        in_channels: width of the trunk.
        num_classes: K.
        pad_like_iic: the 1x1 convolution is padded by one pixel as in IIC's code, which rings the
            map with zero logits: the image's border is uniform over the classes. False leaves it
            out.

    Raises:
        ValueError: for fewer than two classes.
    """

    def __init__(self, in_channels: int, num_classes: int, pad_like_iic: bool = True) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"ClusterHead: num_classes = {num_classes} must be >= 2")
        self.classifier = nn.Conv2d(
            in_channels, num_classes, 1, padding=int(pad_like_iic), bias=False
        )
        kaiming_(self)

    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities at ``size`` = (H, W)."""
        probability = softmax(self.classifier(feature))  # (B, K, h, w)
        return F.interpolate(probability, size, mode="bilinear")  # (B, K, H, W)
