"""Class probabilities of images in [0, 1], by a torch model that is prepared for inference."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..structures import SegState
from .fold import for_inference

Precision = Literal["float32", "bfloat16"]
SMALLEST = 8
"""Pixels of the shorter side that every model can do with."""
Statistics = tuple[Tensor, Tensor]
"""Mean and deviation of every band of a whole image in [0, 1]: (1, C, 1, 1) each."""


class Network(Protocol):
    """Images to class probabilities, by torch or another runtime."""

    bands: int
    standardises: bool
    """Whether each image is standardised by its own statistics."""

    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Probabilities (B, K, H, W) float32 of ``images`` (B, C, H, W) in [0, 1].

        ``statistics`` are those of the whole image where ``images`` are windows of it.
        """

    def state(self, images: Tensor, statistics: Statistics | None = None) -> SegState | None:
        """Everything there is to show of ``images``; None where only probabilities are known."""


class TorchNetwork:
    """A trained segmentor, normalisation folded, parts that only losses read left out.

    Args:
        model: with its weights; it is copied.
        device: where it runs.
        compile: fuse its operations with ``torch.compile``; the first image of a size then takes
            a minute.
        precision: ``bfloat16`` computes convolutions in half precision; a few labels change.

    Raises:
        ValueError: for another precision.
        RuntimeError: if ``compile`` finds no C++ compiler.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        compile: bool = False,
        precision: Precision = "float32",
    ) -> None:
        if precision not in get_args(Precision):
            raise ValueError(f"precision = {precision!r}; choose one of {get_args(Precision)}")
        prepared: Any = for_inference(model).to(device)
        self.model: Any = prepared
        self.device = device
        self.half = precision == "bfloat16"
        self.bands: int = prepared.data_preprocessor.bands
        self.standardises: bool = prepared.data_preprocessor.standardise == "image"
        self._probability: Callable[[Tensor], Tensor] = prepared.probability
        if compile:
            compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
            if device.type == "cpu" and shutil.which(compiler) is None:
                raise RuntimeError(
                    f"compile: torch.compile needs a C++ compiler on a CPU and {compiler!r} is not "
                    "there; install one (Debian: apt install g++), name it in the variable CXX, or "
                    "leave compile off"
                )
            self._probability = torch.compile(prepared.probability)

    @torch.inference_mode()
    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Probabilities (B, K, H, W) float32 of ``images`` (B, C, H, W) in [0, 1]."""
        with torch.autocast(self.device.type, torch.bfloat16, self.half):
            return self._probability(self._normalised(images, statistics)).float()

    @torch.inference_mode()
    def state(self, images: Tensor, statistics: Statistics | None = None) -> SegState:
        """The model's state with the probability; it holds the superpixels' assignment."""
        with torch.autocast(self.device.type, torch.bfloat16, self.half):
            return self.model.infer(self._normalised(images, statistics))

    @torch.inference_mode()
    def features(
        self, images: Tensor, statistics: Statistics | None = None
    ) -> tuple[SegState, Tensor]:
        """The state, and the features of each pixel that stand nearest to the decision.

        They are the node features where the head reads them, else what its classifier is given
        (mean over the raster orders), else what it clusters: (B, D, h, w), h and w a part of H
        and W. :attr:`features_are` says which.
        """
        seen: list[Tensor] = []
        classifier = getattr(self.model.decode_head, "classifier", None)
        hook = classifier and classifier.register_forward_pre_hook(
            lambda _, given: seen.append(given[0])
        )
        try:
            with torch.autocast(self.device.type, torch.bfloat16, self.half):
                inputs = self._normalised(images, statistics)
                state = self.model.infer(inputs)
                if state.projected is not None and self.model.reads_nodes:
                    return state, state.projected
                read = torch.stack(seen).mean(0) if seen else self.model.features(inputs)
                return state, read
        finally:
            if hook:
                hook.remove()

    @property
    def features_are(self) -> str:
        """In words, what :meth:`features` gives."""
        if getattr(self.model, "reads_nodes", False):
            return "the node features (of a pixel's superpixel, after its graph)"
        if hasattr(self.model.decode_head, "classifier"):
            return "what the last layer reads of a pixel"
        return "what is clustered: " + ("colours" if self.model.backbone is None else "features")

    def _normalised(self, images: Tensor, statistics: Statistics | None) -> Tensor:
        if statistics is not None:
            statistics = statistics[0].to(self.device), statistics[1].to(self.device)
        normalise = self.model.data_preprocessor.normalise
        return normalise(images.to(self.device), statistics)  # (B, C, H, W)


def probabilities(network: Network, images: Tensor, statistics: Statistics | None = None) -> Tensor:
    """Class probabilities of images of any size.

    Models halve an image and look around each pixel; one thinner than :data:`SMALLEST` is
    continued by its last row and column.

    Shapes: images (B, C, H, W), probability (B, K, H, W).
    """
    height, width = images.shape[2:]
    missing = (0, max(SMALLEST - width, 0), 0, max(SMALLEST - height, 0))
    if not any(missing):
        return network(images, statistics)
    continued = F.pad(images, missing, mode="replicate")
    return network(continued, statistics)[:, :, :height, :width]  # (B, K, H, W)
