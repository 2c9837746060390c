"""Classical superpixels instead of SPNN: the ablation that the paper lacks."""

from __future__ import annotations

from typing import ClassVar, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...labelmaps.classical import Classic, classical_superpixels
from ...labelmaps.connectivity import enforce_connectivity, smallest_size
from ...ops.image import differences
from ...ops.superpixel import soft_image
from ...registry import MODELS
from ...structures import Superpixels


@MODELS.register_module()
class FixedSuperpixels(nn.Module):
    """SLIC, SEEDS, FH or a grid as a backbone with nothing to learn.

    The assignment is one-hot and made connected, small pieces joined, so at most N superpixels
    have pixels and the rest are empty nodes. Instead of learned features there are three
    statistics of each band, whose pooled means say how uneven a superpixel is and in which
    direction: the square, and the magnitudes of the differences to the next column and row.

    It runs on the CPU whatever the device: images on a GPU are copied there and labels back, once
    a batch.

    Shapes: image (B, C, H, W) -> ``Superpixels(assignment (B, N, H, W), feature (B, 3C, H, W),
    reconstruction (B, C, H, W))``, the reconstruction being the mean colours.

    Args:
        in_channels: bands C of the image.
        num_superpixels: N, at least 2.
        method: ``slic``, ``seeds`` (needs opencv-contrib), ``fh`` or ``grid``; see
            :func:`sgseg.labelmaps.classical.classical_superpixels`.

    Raises:
        ValueError: for an image with another number of bands, or a parameter out of range.
        RuntimeError: for ``seeds`` without opencv-contrib, at the first image.
    """

    FEATURES_PER_BAND: ClassVar[int] = 3

    def __init__(
        self,
        in_channels: int = 3,
        num_superpixels: int = 200,
        method: Classic = "slic",
    ) -> None:
        super().__init__()
        if num_superpixels < 2 or in_channels < 1:
            raise ValueError(
                f"FixedSuperpixels: num_superpixels = {num_superpixels} must be >= 2 and "
                f"in_channels = {in_channels} >= 1"
            )
        if method not in get_args(Classic):
            raise ValueError(
                f"FixedSuperpixels: method = {method!r}; choose one of {get_args(Classic)}"
            )
        self.in_channels = in_channels
        self.out_channels = self.FEATURES_PER_BAND * in_channels
        self.num_superpixels = num_superpixels
        self.method: Classic = method

    def forward(self, image: Tensor) -> Superpixels:
        """Superpixels of ``image`` (B, C, H, W), standardised or not; no gradient passes."""
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"FixedSuperpixels: expected images (B, {self.in_channels}, H, W), got "
                f"{tuple(image.shape)}: set in_channels to the number of bands"
            )
        image = image.detach()
        pixels = image.float().permute(0, 2, 3, 1).cpu().numpy()  # (B, H, W, C)
        labels = np.stack([self._labels(single) for single in pixels])  # (B, H, W)
        owner = torch.from_numpy(labels).to(image.device)[:, None]  # (B, 1, H, W)
        shape = (len(image), self.num_superpixels, *image.shape[2:])
        assignment = image.new_zeros(shape).scatter_(1, owner, 1.0)  # (B, N, H, W)
        along_x, along_y = differences(image)  # one column, one row fewer: 0 at the end
        edges = [F.pad(along_x.abs(), (0, 1)), F.pad(along_y.abs(), (0, 0, 0, 1))]
        feature = torch.cat([image.square(), *edges], 1)  # (B, 3C, H, W)
        return Superpixels(assignment, feature, soft_image(assignment, image))

    def _labels(self, image: np.ndarray) -> np.ndarray:
        """Connected superpixels 0 .. N-1 of one image (H, W, C) on any scale."""
        low, high = float(image.min()), float(image.max())
        unit = (image - low) / max(high - low, 1e-12)  # one scale for all bands keeps their colour
        raw = classical_superpixels(unit, self.num_superpixels, self.method)
        least = smallest_size(raw.shape[0], raw.shape[1], self.num_superpixels)
        return enforce_connectivity(raw, least, self.num_superpixels)
