"""Colour jitter of each training image, which all readings of it then share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from ..io.units import unit_floats
from ..ops.photometry import check_jitter, jitter
from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Other colours for each image, as torchvision's ColorJitter: IIC's jitter, in the pipeline.

    Both raster orders of SGSeg then read the same jittered image; the ``views`` of a model give
    each reading its own. Factors are drawn evenly from 1 - x to 1 + x, the turn of the hue from -x
    to x; the four come in any order. Further bands stay.

    Shapes: ``img`` (H, W, C) uint8, C >= 3.

    Args:
        brightness, contrast, saturation, hue: half-widths; IIC has 0.4, 0.4, 0.4, 0.125 on
            COCO-Stuff and 0.1 four times on Potsdam.

    Raises:
        ValueError: for a half-width outside [0, 1], or of the hue outside [0, 0.5]; for an image
            of another type.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.125,
    ) -> None:
        self.widths = (brightness, contrast, saturation, hue)
        check_jitter("ColorJitter", self.widths)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Jitter the image; labels have no colours."""
        image = results["img"]
        if image.dtype != np.uint8:
            raise ValueError(
                f"ColorJitter: {results.get('name', 'this image')} holds {image.dtype}, uint8 is "
                "wanted: take ColorJitter out, or use model.views"
            )
        order = np.random.permutation(4).tolist()
        free = torch.from_numpy(np.random.rand(4, 1).astype(np.float32))
        batch = torch.from_numpy(unit_floats(image)).permute(2, 0, 1)[None]  # (1, C, H, W)
        jittered = jitter(batch, self.widths, free, order)[0].permute(1, 2, 0)  # (H, W, C)
        results["img"] = (255 * jittered).round().to(torch.uint8).contiguous().numpy()
        return results
