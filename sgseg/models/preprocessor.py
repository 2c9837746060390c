"""From loaded bytes to what the network sees, on the network's device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..registry import MODELS

Standardise = Literal["image", "local", "fixed", "none"]


@MODELS.register_module()
class ImagePreprocessor(BaseDataPreprocessor):
    """Images to float32 in [0, 1], then standardised.

    Shapes: ``inputs`` uint8, or float in [0, 1], (B, C, H, W) -> float32 (B, C, H, W).

    Args:
        bands: C, the number of bands the model was built for.
        standardise: ``image`` gives every band of every image zero mean and unit deviation (the
            scale at which sigma = 10 of Eq 10 means something); it also removes an image's
            overall brightness and colour. ``local`` does so within a window around every pixel, for
            images where light and contrast vary and only the pattern matters. ``fixed`` uses ``mean`` and ``std`` for all images and
            keeps them. ``none`` stops at [0, 1].
        window: side of the ``local`` window in pixels, odd.
        mean, std: one value per band, on the [0, 1] scale, for ``fixed``.
        non_blocking: copy to the device without waiting.

    Raises:
        ValueError: for another number of bands, or ``fixed`` without its values.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        bands: int = 3,
        standardise: Standardise = "image",
        window: int = 15,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking)
        if standardise not in get_args(Standardise) or window < 3 or window % 2 == 0:
            raise ValueError(
                f"ImagePreprocessor: standardise = {standardise!r}, window = {window}; choose one "
                f"of {get_args(Standardise)} and an odd window of at least 3"
            )
        if standardise == "fixed" and not (len(mean or ()) == len(std or ()) == bands):
            raise ValueError(
                f"ImagePreprocessor: standardise = 'fixed' needs mean and std with {bands} values "
                f"each, got mean = {mean}, std = {std}"
            )
        self.bands = bands
        self.standardise = standardise
        self.window = window
        self.register_buffer("mean", torch.tensor(list(mean or [])).view(-1, 1, 1), False)
        self.register_buffer("std", torch.tensor(list(std or [])).view(-1, 1, 1), False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """The batch with ``inputs`` ready for the network; other keys only change device."""
        data = dict(self.cast_data(data))
        inputs = data["inputs"]
        if inputs.dim() != 4 or inputs.shape[1] != self.bands:
            raise ValueError(
                f"ImagePreprocessor: expected images (B, {self.bands}, H, W), got "
                f"{tuple(inputs.shape)}: set `bands` in the config to the number of bands"
            )
        data["inputs"] = self.normalise(inputs)
        return data

    def normalise(self, inputs: Tensor) -> Tensor:
        """Scale and standardise (B, C, H, W)."""
        image = inputs.float() / (1.0 if inputs.is_floating_point() else 255.0)
        if self.standardise == "image":
            deviation, mean = torch.std_mean(image, (2, 3), keepdim=True, correction=0)
            # A flat band stays zero; one grey level is 4e-3.
            return (image - mean) / deviation.clamp_min(1e-4)
        if self.standardise == "local":
            return _standardise_locally(image, self.window)
        if self.standardise == "fixed":
            return (image - self.mean) / self.std
        return image


def _standardise_locally(image: Tensor, window: int) -> Tensor:
    """Zero mean and unit deviation within a window, counting only pixels inside the image."""

    def around(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, window, 1, window // 2, count_include_pad=False)

    mean = around(image)
    variance = (around(image.square()) - mean.square()).clamp_min(0.0)
    # Flat regions hold noise only: their deviation counts as a tenth of the image's.
    floor = image.std((2, 3), keepdim=True, correction=0) / 10
    return (image - mean) / variance.sqrt().maximum(floor).clamp_min(1e-4)
