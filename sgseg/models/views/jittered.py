"""An image and a colour-jittered, mirrored copy of it: the two views of IIC."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...ops.photometry import check_jitter, jitter
from ...registry import MODELS
from .pair import ViewPair, mirror


@MODELS.register_module()
class JitteredViews(nn.Module):
    """The image as it is, and a copy with other colours, mirrored half of the time.

    As torchvision's ColorJitter: factors drawn evenly from 1 - x to 1 + x and the turn of the
    hue from -x to x, for each image; their order is drawn once a step. The first three bands are
    jittered, an infrared band is not.

    Shapes: image (B, C, H, W) in [0, 1], C >= 3 -> :class:`ViewPair`.

    Args:
        brightness, contrast, saturation, hue: half-widths; IIC has 0.4, 0.4, 0.4, 0.125 on
            COCO-Stuff and 0.1 four times on Potsdam.
        flip: probability of the mirror.

    Raises:
        ValueError: for a half-width or flip outside [0, 1], or a hue outside [0, 0.5].
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.125,
        flip: float = 0.5,
    ) -> None:
        super().__init__()
        self.widths = (brightness, contrast, saturation, hue)
        check_jitter("JitteredViews", self.widths)
        if not 0 <= flip <= 1:
            raise ValueError(f"JitteredViews: flip = {flip} must lie in [0, 1]")
        self.flip = flip

    def forward(self, image: Tensor, generator: torch.Generator) -> ViewPair:
        """Both views of ``image``; ``generator`` lives on the CPU."""
        free = torch.rand(5, len(image), generator=generator).to(image)
        order = torch.randperm(4, generator=generator).tolist()
        jittered = jitter(image, self.widths, free[:4], order)
        mirrored = free[4] < self.flip
        return ViewPair((image, mirror(jittered, mirrored)), mirrored=mirrored)
