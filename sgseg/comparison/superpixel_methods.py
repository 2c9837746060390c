"""Superpixel methods by name: the classics, networks trained on one image, checkpoints."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from ..engine.checkpoints.loading import load_checkpoint
from ..labelmaps.classical import Classic, classical_superpixels
from ..ops.local_assignment import Assignment
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


def named_method(
    name: str,
    count: int,
    budget: PerImageBudget,
    smoothing: float | None = None,
    compactness: float | None = None,
) -> Method:
    """A classic or a mode of :func:`.optimise_superpixels`.

    Args:
        name: one of :func:`method_names`.
        count: superpixels wanted.
        budget: of the modes; the classics do not look at it.
        smoothing, compactness: of the classics, see :func:`.classical_superpixels`; stated, they
            are part of the row's name where the method looks at them.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in method_names():
        raise ValueError(f"superpixels: method {name!r}; choose among {', '.join(method_names())}")
    if name in get_args(Classic):
        return _classic(cast(Classic, name), count, smoothing, compactness)
    mode = cast(Mode, name)

    def optimised(image: Image) -> npt.NDArray[np.int64]:
        return optimise_superpixels(image, mode, count, **vars(budget)).labels

    return Method(name, count, dict(vars(budget)), optimised)


def _classic(
    name: Classic, count: int, smoothing: float | None, compactness: float | None
) -> Method:
    given = dict(smoothing=smoothing, compactness=compactness if name == "slic" else None)
    settings = {key: value for key, value in given.items() if value is not None}
    settings = {} if name == "grid" else settings
    stated = ", ".join(f"{key} {value:g}" for key, value in settings.items())

    def segment(image: Image) -> npt.NDArray[np.int64]:
        return classical_superpixels(image, count, name, **settings)

    return Method(f"{name} ({stated})" if stated else name, count, settings, segment)


def trained_methods(
    config: Config, checkpoint: str | Path, counts: Sequence[int], side: int | None = None
) -> list[Method]:
    """The backbone of a trained model, run on the CPU, at each of ``counts`` where N is free.

    Args:
        config: the config that the checkpoint was trained with.
        checkpoint: ``epoch_N.pth``.
        counts: superpixels wanted of a backbone such as :class:`.LocalSPNN`; one that has learned
            its N is scored once, at that.
        side: shorter side in pixels that the backbone sees; default the config's
            ``predict_side``, else the image's own.

    Raises:
        ValueError: if the model has no backbone, or the checkpoint does not fit it.
    """
    if not config.model.get("backbone"):
        raise ValueError(f"{checkpoint}: its model has no backbone, so no superpixels to look at")
    model: Any = trained_model(config, load_checkpoint(checkpoint), checkpoint).eval()
    side = side or config.get("predict_side")

    backbone = model.backbone
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()[:16]
    settings = dict(checkpoint_sha256=digest, side=side)
    name = f"{type(backbone).__name__} ({Path(checkpoint).resolve().parent.name})"
    free = "num_superpixels" in inspect.signature(backbone.forward).parameters

    def at(count: int) -> Method:
        given = dict(num_superpixels=count) if free else {}

        @torch.inference_mode()
        def segment(image: Image) -> npt.NDArray[np.int64]:
            seen = model.data_preprocessor(dict(inputs=_inputs(image, side)), False)["inputs"]
            assignment = backbone(seen, **given).assignment  # (1, N, h, w)
            return _full_size(assignment, image.shape[:2])  # (H, W)

        return Method(name, count, settings, segment)

    return [at(count) for count in (counts if free else [backbone.num_superpixels])]


def _inputs(image: Image, side: int | None) -> Tensor:
    """(1, C, h, w) in [0, 1], its shorter side ``side`` long."""
    inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255.0
    if not side:
        return inputs
    factor = side / min(image.shape[:2])
    size = [round(length * factor) for length in image.shape[:2]]
    return F.interpolate(inputs, size, mode="bilinear", antialias=factor < 1)


def _full_size(assignment: Assignment, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Labels (H, W) of one image's P; one with nine numbers a pixel has no dense form to blend."""
    if isinstance(assignment, Tensor):
        return F.interpolate(assignment, size, mode="bilinear").argmax(1)[0].numpy()
    owner = assignment.labels()[None].double()  # (1, 1, h, w)
    return F.interpolate(owner, size, mode="nearest-exact")[0, 0].long().numpy()
