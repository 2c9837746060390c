"""Normalise images on the network's device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..registry import MODELS

Standardise = Literal["image", "fixed", "set", "none"]


@MODELS.register_module()
class ImagePreprocessor(BaseDataPreprocessor):
    """Images to float32 in [0, 1], then standardised.

    Shapes: ``inputs`` uint8, or float in [0, 1], (B, C, H, W) -> float32 (B, C, H, W).

    Args:
        bands: C, the number of bands the model was built for.
        standardise: ``image`` gives every band of every image zero mean and unit deviation (the
            scale at which sigma = 10 of Eq 10 means something); it also removes an image's
            overall brightness and colour. ``fixed`` uses ``mean`` and ``std`` for all images and
            keeps them. ``set`` does so with the training set's own values, which
            ``SetStatisticsHook`` measures and the checkpoint keeps (0.5 and 0.25 until then).
            ``none`` stops at [0, 1].
        mean, std: one value per band, on the [0, 1] scale, for ``fixed``.

    Raises:
        ValueError: for another number of bands, or ``fixed`` without its values.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        bands: int = 3,
        standardise: Standardise = "image",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__(non_blocking=True)
        if bands < 1:
            raise ValueError(f"ImagePreprocessor: bands = {bands}; must be >= 1")
        if standardise not in get_args(Standardise):
            raise ValueError(
                f"ImagePreprocessor: standardise = {standardise!r}; choose one of "
                f"{get_args(Standardise)}"
            )
        if standardise == "fixed" and not (len(mean or ()) == len(std or ()) == bands):
            raise ValueError(
                f"ImagePreprocessor: standardise = 'fixed' needs mean and std with {bands} values "
                f"each, got mean = {mean}, std = {std}"
            )
        self.bands = bands
        self.standardise = standardise
        measured = standardise == "set"
        if measured:
            mean, std = [0.5] * bands, [0.25] * bands
        self.register_buffer("mean", torch.tensor(list(mean or [])).view(-1, 1, 1), measured)
        self.register_buffer("std", torch.tensor(list(std or [])).view(-1, 1, 1), measured)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """The batch with ``inputs`` ready for the network; other keys only change device.

        ``valid`` (B, H, W) bool, where there is any, is used up: what is no data stays out of an
        image's mean and deviation.
        """
        # The images' numbers stay on the host: reading them off a GPU would wait for it.
        kept = {name: data[name] for name in ("index",) if name in data}
        data = dict(self.cast_data({n: v for n, v in data.items() if n not in kept})) | kept
        inputs = data["inputs"]
        if inputs.dim() != 4 or inputs.shape[1] != self.bands:
            raise ValueError(
                f"ImagePreprocessor: expected images (B, {self.bands}, H, W), got "
                f"{tuple(inputs.shape)}: set `bands` in the config to the number of bands"
            )
        valid = data.pop("valid", None)
        statistics = None
        if valid is not None and self.standardise == "image":
            statistics = self.statistics(inputs, valid)
        data["inputs"] = self.normalise(inputs, statistics)
        return data

    def statistics(self, inputs: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each band over the valid pixels of each image, in [0, 1].

        Args:
            inputs: (B, C, H, W).
            valid: (B, H, W) bool; an image without a valid pixel has mean and deviation 0.

        Returns:
            (B, C, 1, 1) each.
        """
        image, share = self.to_unit(inputs), valid[:, None].float()
        share = share / share.sum((2, 3), keepdim=True).clamp_min(1)  # (B, 1, H, W)
        mean = (image * share).sum((2, 3), keepdim=True)
        variance = ((image - mean).square() * share).sum((2, 3), keepdim=True)
        return mean, variance.sqrt()

    def normalise(self, inputs: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Scale and standardise (B, C, H, W).

        Args:
            inputs: images.
            statistics: mean and deviation of the whole image on the [0, 1] scale, (B, C, 1, 1)
                each, where ``inputs`` is a window of it; only ``standardise="image"`` looks at
                them. Default: those of ``inputs``.
        """
        image = self.to_unit(inputs)
        if self.standardise == "image":
            if statistics is None:
                deviation, mean = torch.std_mean(image, (2, 3), keepdim=True, correction=0)
            else:
                mean, deviation = statistics
            # A flat band stays zero; one grey level is 4e-3.
            return (image - mean) / deviation.clamp_min(1e-4)
        if self.standardise in ("fixed", "set"):
            return (image - self.mean) / self.std
        return image

    def restore(self, image: Tensor) -> Tensor:
        """Undo :meth:`normalise`: (B, C, H, W) in [0, 1] again, or around it after a jitter.

        Raises:
            ValueError: for ``standardise="image"``: each image's own statistics are gone.
        """
        if self.standardise == "image":
            raise ValueError(
                "ImagePreprocessor: standardise = 'image' keeps nothing to undo it by; set it to "
                "'set', 'fixed' or 'none'"
            )
        return image if self.standardise == "none" else image * self.std + self.mean

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Use these values, (C,) on the [0, 1] scale; a constant band is only shifted."""
        self.mean.copy_(mean.view(-1, 1, 1))
        self.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)).view(-1, 1, 1))

    @staticmethod
    def to_unit(inputs: Tensor) -> Tensor:
        """uint8, or float in [0, 1], to float32 in [0, 1]."""
        return inputs.float() / (1.0 if inputs.is_floating_point() else 255.0)
