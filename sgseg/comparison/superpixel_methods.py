"""Superpixel methods by name: the classics, networks trained on one image, checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.config import Config

from ..engine.checkpoints.loading import load_checkpoint
from ..labelmaps.classical import Classic, classical_superpixels
from ..training.saved import trained_model
from .per_image import SETTINGS, Mode, optimise_superpixels

Image = npt.NDArray[Any]
Segment = Callable[[Image], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class PerImageBudget:
    """What the networks trained on one image may cost; see :func:`.optimise_superpixels`."""

    steps: int | None = None
    side: int | None = None
    width: int = 32
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Method:
    """A way to superpixels, at one number of them."""

    name: str
    count: int
    """Superpixels asked for."""
    settings: dict[str, Any]
    """What a result depends on beside name and count: measured anew where it differs."""
    segment: Segment
    """Image (H, W, C) uint8 -> labels (H, W), as the method leaves them."""


def method_names() -> tuple[str, ...]:
    """Names that :func:`named_method` knows."""
    return (*get_args(Classic), *SETTINGS)


def named_method(name: str, count: int, budget: PerImageBudget) -> Method:
    """A classic or a mode of :func:`.optimise_superpixels`.

    Args:
        name: one of :func:`method_names`.
        count: superpixels wanted.
        budget: of the modes; the classics do not look at it.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in method_names():
        raise ValueError(f"superpixels: method {name!r}; choose among {', '.join(method_names())}")
    if name in get_args(Classic):
        classic = cast(Classic, name)
        return Method(name, count, {}, lambda image: classical_superpixels(image, count, classic))
    mode = cast(Mode, name)

    def optimised(image: Image) -> npt.NDArray[np.int64]:
        return optimise_superpixels(image, mode, count, **vars(budget)).labels

    return Method(name, count, dict(vars(budget)), optimised)


def trained_method(config: Config, checkpoint: str | Path, side: int | None = None) -> Method:
    """The backbone of a trained model, run on the CPU.

    Args:
        config: the config that the checkpoint was trained with.
        checkpoint: ``epoch_N.pth``.
        side: shorter side in pixels that the backbone sees; default the config's
            ``predict_side``, else the image's own.

    Raises:
        ValueError: if the model has no backbone, or the checkpoint does not fit it.
    """
    if not config.model.get("backbone"):
        raise ValueError(f"{checkpoint}: its model has no backbone, so no superpixels to look at")
    model: Any = trained_model(config, load_checkpoint(checkpoint), checkpoint).eval()
    side = side or config.get("predict_side")

    @torch.inference_mode()
    def segment(image: Image) -> npt.NDArray[np.int64]:
        inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255.0
        if side:
            factor = side / min(image.shape[:2])
            size = [round(length * factor) for length in image.shape[:2]]
            inputs = F.interpolate(inputs, size, mode="bilinear", antialias=factor < 1)
        seen = model.data_preprocessor(dict(inputs=inputs), False)["inputs"]
        assignment = model.backbone(seen).assignment  # (1, N, h, w)
        full = F.interpolate(assignment, image.shape[:2], mode="bilinear")
        return full.argmax(1)[0].numpy()  # (H, W)

    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()[:16]
    settings = dict(checkpoint_sha256=digest, side=side)
    name = f"{type(model.backbone).__name__} ({Path(checkpoint).resolve().parent.name})"
    return Method(name, int(config.model.backbone.num_superpixels), settings, segment)
