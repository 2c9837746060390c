"""InfoSegHead: local features, one global vector per class and image, and their assignment.

Reconstruction from the description of InfoSeg (Harb and Knoebelreiter, GCPR 2021); no code is
public. Its widths, temperature and initialisation are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import full_precision
from ...registry import MODELS
from ..layers import kaiming_


class LocalGlobal(NamedTuple):
    """What InfoSeg compares; P is the number of pixels of the coarse map."""

    local: Tensor
    """L: (B, P, d)."""
    classes: Tensor
    """H: (B, K, d), one vector per class and image."""
    assignment: Tensor
    """V: (B, P, K), sums to one over K."""


@MODELS.register_module()
class InfoSegHead(nn.Module):
    r"""Assignment of each coarse pixel to the class vectors of its own image.

    .. math:: V_{p,c} = \mathrm{SoftMax}_c(\tau \langle L_p, H_c \rangle)

    L is a 1x1 convolution to d channels, H the spatial mean of a 1x1 convolution to K blocks of d
    channels; the block keeps a class's meaning over the images.

    Shapes: feature (B, in_channels, h, w) -> probability (B, K, H, W).

    Args:
        in_channels: width of the trunk.
        num_classes: K.
        channels: d.
        temperature: tau; default 1 / sqrt(d).

    Raises:
        ValueError: for fewer than two classes.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 256,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"InfoSegHead: num_classes = {num_classes} must be >= 2")
        self.num_classes = num_classes
        self.temperature = channels**-0.5 if temperature is None else temperature
        self.local = nn.Conv2d(in_channels, channels, 1)
        self.classes = nn.Conv2d(in_channels, num_classes * channels, 1)
        kaiming_(self)

    def describe(self, feature: Tensor) -> LocalGlobal:
        """Local features, class vectors and assignment of the coarse map."""
        local = self.local(feature).flatten(2).transpose(1, 2)  # (B, P, d)
        classes = self.classes(feature.mean((2, 3), keepdim=True))  # (B, K*d, 1, 1)
        classes = classes.view(len(feature), self.num_classes, -1)  # (B, K, d)
        return LocalGlobal(local, classes, _assign(local, classes, self.temperature))

    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities at ``size`` = (H, W)."""
        assignment = self.describe(feature).assignment.transpose(1, 2)  # (B, K, P)
        coarse = assignment.reshape(*assignment.shape[:2], *feature.shape[2:])  # (B, K, h, w)
        return F.interpolate(coarse, size, mode="bilinear")  # (B, K, H, W)


@full_precision
def _assign(local: Tensor, classes: Tensor, temperature: float) -> Tensor:
    return torch.softmax(temperature * local @ classes.mT, 2)  # (B, P, K)
