"""Two differently lit and placed copies of an image, one for each reading."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from .pair import ViewPair


@MODELS.register_module()
class PhotometricViews(nn.Module):
    r"""Two photometric jitters of the same images, each rolled by another shift.

    .. math:: I'(x) = I(x) \, e^{c\,n_c(x) + g\,n_g} + b\,n_b(x)

    n_c and n_b are smooth random fields of unit deviation (light and contrast that change over
    the image), n_g is one draw a band. With two views, light and contrast alone no longer predict
    the other reading, so they stop being worth a class. Not in the paper; IIC jitters colour
    between its two views in this spirit.

    Rolling (what leaves on one side enters on the other) moves the image's border: otherwise the
    zero padding of every convolution tells both readings how near it is, and nearness to the border
    becomes a class.

    Shared, there is one jittered image, and both orders read that one: augmentation alone, at half
    the cost.

    Shapes: image (B, C, H, W) -> :class:`ViewPair` of two (B, C, H, W).

    Args:
        contrast: c, deviation of the logarithm of the gain.
        brightness: b, deviation of the offset, in units of the normalised image.
        band_gain: g, deviation of the logarithm of the gain of each band.
        cells: the fields are drawn on a cells x cells grid and interpolated; 1 lights the whole
            image evenly.
        roll: whether each view of a batch is rolled by a random number of rows and columns.
        shared: whether both readings see the same view.

    Raises:
        ValueError: for a negative deviation or fewer than one cell.
    """

    def __init__(
        self,
        contrast: float = 0.3,
        brightness: float = 0.3,
        band_gain: float = 0.1,
        cells: int = 4,
        roll: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if min(contrast, brightness, band_gain) < 0 or cells < 1:
            raise ValueError(
                f"PhotometricViews: contrast = {contrast}, brightness = {brightness}, band_gain = "
                f"{band_gain} must be >= 0 and cells = {cells} >= 1"
            )
        self.contrast = contrast
        self.brightness = brightness
        self.band_gain = band_gain
        self.cells = cells
        self.roll = roll
        self.shared = shared

    def forward(self, image: Tensor, generator: torch.Generator) -> ViewPair:
        """Both views of ``image``, one tensor if shared; ``generator`` lives on the CPU."""
        copies = 1 if self.shared else 2
        views = list(self._lit(image.repeat(copies, 1, 1, 1), generator).chunk(copies))
        shifts = [(0, 0)] * copies
        if self.roll:
            free = torch.rand(copies, 2, generator=generator) * torch.tensor(image.shape[2:])
            shifts = [(down, right) for down, right in free.int().tolist()]
            views = [x.roll(shift, (2, 3)) for x, shift in zip(views, shifts, strict=True)]
        return ViewPair((views[0], views[-1]), (shifts[0], shifts[-1]))

    def _lit(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Each image in a light of its own, (B, C, H, W)."""
        count, bands = image.shape[:2]
        grid = torch.randn(count, 2, self.cells, self.cells, generator=generator).to(image)
        band = torch.randn(count, bands, 1, 1, generator=generator).to(image)
        fields = F.interpolate(grid, image.shape[2:], mode="bicubic", align_corners=True)
        contrast, brightness = fields.split(1, 1)  # (B, 1, H, W) each
        gain = (self.contrast * contrast + self.band_gain * band).exp()  # (B, C, H, W)
        return image * gain + self.brightness * brightness
