"""LocalSPNN: SPNN's trunk in front of differentiable SLIC, which no superpixel can leave."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.local_assignment import LocalAssignment, cells
from ...ops.local_forms import local_sums
from ...ops.local_merging import border_lengths, join_cells
from ...ops.local_slic import local_slic
from ...ops.precision import full_precision
from ...ops.superpixel import coordinates
from ...registry import MODELS
from ...structures import Superpixels
from ..layers import xavier_
from .spnn import spnn_trunk

OPPONENT = ((25.0, 75.0, 2.0), (100.0, -134.0, 33.0), (45.0, 81.0, -127.0))
"""L, a and b of sRGB bands in [0, 1], up to constants: the least-squares fit on photographs, right
to 2.4 units. Being linear it takes standardised bands as well, and no root of a negative band."""

PLACE = 0.2
"""Weight of place, beside that in rounds, where cells are joined."""


@full_precision
def smoothed(image: Tensor, sigma: float) -> Tensor:
    """Gaussian mean of each band, borders continued.

    Args:
        image: (B, C, H, W).
        sigma: deviation in pixels; 0: the image itself.
    """
    if not sigma:
        return image
    reach, bands = round(3 * sigma), image.shape[1]
    offset = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = (-0.5 * (offset / sigma).square()).softmax(0).expand(bands, 1, 1, -1)
    wide = F.pad(image, (reach, reach, 0, 0), mode="replicate")
    high = F.pad(F.conv2d(wide, kernel, groups=bands), (0, 0, reach, reach), mode="replicate")
    return F.conv2d(high, kernel.mT, groups=bands)  # (B, C, H, W)


@MODELS.register_module()
class LocalSPNN(nn.Module):
    """Superpixels that each pixel chooses among the nine grid cells around it.

    Colour, place and channels learned by SPNN's trunk join in one distance; rounds of
    differentiable SLIC (:mod:`sgseg.ops.local_slic`) divide the image. Before anything is learned
    the learned channels are small and this is nearly SLIC on a smoothed image. There are N
    superpixels whatever the weights are, so N is free at run time: set ``num_superpixels``, or
    give it with the image.

    Shapes: image (B, C, H, W) -> ``Superpixels(assignment of (B, 9, H, W) weights,
    feature (B, 8 * base_channels, H, W), reconstruction (B, C, H, W))``.

    Args:
        in_channels: bands C; three are taken for red, green and blue and compared as in Lab,
            others as they are.
        num_superpixels: N, at least 2 and at most the pixels of an image.
        base_channels: width of the trunk's first layer; 64 in the paper.
        stride: of the trunk's first convolution, see :class:`SPNN`.
        learned_channels: D, learned channels that join the distance.
        compactness: the colour difference, in units of Lab's L of 0 to 100, that weighs as much as
            the distance between two neighbouring superpixels, as SLIC has it.
        band_range: what one unit of the image is of the bands' whole range: about a quarter for
            standardised images, 1 for images in [0, 1].
        lightness: weight of L beside a and b, in units of theirs; shadows are no objects.
        smoothing: deviation in pixels of the Gaussian that colours are smoothed with.
        rounds: of assignment.
        temperature: of P, in squared distances between neighbouring superpixels.
        cells: grid cells that are joined to one superpixel, on average, as far as there are pixels
            enough; 1: a superpixel is a cell, all are about equally large.
        checkpoint: of the trunk, see :class:`SPNN`.

    Raises:
        ValueError: for an image with another number of bands or fewer than N pixels, or a
            parameter out of range.

    Source: Jampani et al., Superpixel Sampling Networks (ECCV 2018); trained without labels.
    """

    matrix: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        num_superpixels: int = 200,
        base_channels: int = 4,
        stride: int = 2,
        learned_channels: int = 8,
        compactness: float = 4.0,
        band_range: float = 0.25,
        lightness: float = 0.7,
        smoothing: float = 1.0,
        rounds: int = 8,
        temperature: float = 0.02,
        cells: int = 4,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        counts = (in_channels, base_channels, stride, learned_channels, rounds, cells)
        scales = (compactness, band_range, lightness, temperature)
        if num_superpixels < 2 or min(counts) < 1 or min(scales) <= 0 or smoothing < 0:
            raise ValueError(
                f"LocalSPNN: num_superpixels = {num_superpixels} must be >= 2; in_channels, "
                f"base_channels, stride, learned_channels, rounds, cells = {counts} >= 1; "
                f"compactness, band_range, lightness, temperature = {scales} > 0; smoothing = "
                f"{smoothing} >= 0"
            )
        self.in_channels = in_channels
        self.out_channels = 8 * base_channels
        self.num_superpixels = num_superpixels
        self.learned_channels = learned_channels
        self.compactness = compactness
        self.smoothing = smoothing
        self.rounds = rounds
        self.temperature = temperature
        self.cells = cells
        self.stride = stride
        self.trunk = spnn_trunk(in_channels, base_channels, stride, checkpoint)
        self.classifier = nn.Conv2d(8 * base_channels, learned_channels + in_channels, 1)
        xavier_(self)
        # Small, so that this starts as SLIC; at zero no gradient would reach them, for that of a
        # squared distance is the difference of what is compared.
        with torch.no_grad():
            self.classifier.weight[:learned_channels] *= 0.05
        matrix = 100 * torch.eye(in_channels)
        if in_channels == 3:
            matrix = torch.tensor(OPPONENT)
            matrix[0] *= lightness
        self.register_buffer("matrix", band_range * matrix[:, :, None, None], persistent=False)

    def forward(self, image: Tensor, num_superpixels: int | None = None) -> Superpixels:
        """Soft assignment, penultimate features and reconstruction of ``image``.

        Args:
            image: (B, C, H, W).
            num_superpixels: N of this call; default the attribute.
        """
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"LocalSPNN: expected images (B, {self.in_channels}, H, W), got "
                f"{tuple(image.shape)}: set in_channels to the number of bands"
            )
        feature = self.trunk(image)  # (B, 8c, H/stride, W/stride)
        output = self.classifier(feature)  # (B, D+C, H/stride, W/stride)
        if self.stride > 1:
            feature, output = (
                F.interpolate(y, image.shape[2:], mode="bilinear") for y in (feature, output)
            )
        # Prepared for inference, the classifier leaves the reconstruction out: then it is empty.
        learned, reconstruction = output.tensor_split([self.learned_channels], 1)
        assignment = self.divide(image, learned, num_superpixels or self.num_superpixels)
        return Superpixels(assignment, feature, reconstruction)

    @full_precision
    def divide(self, image: Tensor, learned: Tensor, count: int) -> LocalAssignment:
        """Superpixels by colour, place and the learned channels (B, D, H, W)."""
        height, width = image.shape[2:]
        several = self.cells
        if not torch.compiler.is_compiling():  # where H and W may be left open
            several = max(1, min(several, height * width // count))
        grid = cells(height, width, count * several, image.device)
        xy = coordinates(height, width, image.device, image.dtype)  # (2, H, W)
        # In units of the distance between neighbouring cells.
        aspect = torch.ones((), dtype=torch.float64, device=image.device) * width / height
        reach = (0.25 * count * several * torch.stack((aspect, 1 / aspect))).sqrt().to(xy)
        place = (xy * reach[:, None, None]).expand(image.shape[0], -1, -1, -1)
        colour = F.conv2d(smoothed(image, self.smoothing), self.matrix)  # (B, C, H, W)
        look = torch.cat([colour / self.compactness, learned], 1)  # (B, C+D, H, W)
        joined = torch.cat([place, look], 1)
        scores = local_slic(joined, grid, self.rounds, self.temperature)
        assignment = LocalAssignment.of_scores(scores, grid)
        if several == 1:
            return assignment
        with torch.no_grad():
            joined = torch.cat([place * PLACE, look], 1)
            sums, mass = local_sums(assignment.weight, grid, joined)
            lengths = border_lengths(assignment.labels(), grid)
            owner = join_cells(sums, mass, lengths, grid, count)
        return assignment.join(owner, count)
