"""CentroidHead: every pixel goes to the nearest of K fitted centres."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import full_precision
from ...registry import MODELS


@MODELS.register_module()
class CentroidHead(nn.Module):
    r"""Nearest centre of each pixel's feature.

    .. math:: \arg\min_k \|f - c_k\|^2 = \arg\max_k\, 2 \langle c_k, f \rangle - \|c_k\|^2

    The scores are affine in f, so enlarging them equals enlarging f first, at K channels instead
    of hundreds. Their softmax is what is called probability; only its order is k-means.

    Shapes: feature (B, in_channels, h, w) -> probability (B, K, H, W).

    Args:
        in_channels: width of the features.
        num_classes: K.

    Attributes:
        centres: (K, in_channels), written by ``ClusterFeaturesHook`` and never by a gradient. A
            parameter and no buffer, because an optimiser and DistributedDataParallel refuse a
            model that has none, and K-Means has nothing else.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(num_classes, in_channels))

    @torch.no_grad()
    def set_centres(self, centres: Tensor) -> None:
        """Take over (K, in_channels)."""
        self.centres.copy_(centres)

    @full_precision
    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities at ``size`` = (H, W)."""
        centres = self.centres.detach()
        scores = F.conv2d(feature, 2 * centres[:, :, None, None], -centres.square().sum(1))
        return F.interpolate(scores, size, mode="bilinear").softmax(1)  # (B, K, H, W)
