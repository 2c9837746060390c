"""One training step and one prediction of a config, on images of its size that hold noise."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper
from torch import Tensor

from ..datasets import CropTo, Potsdam, ResizeWhole
from ..engine import CPUAmpOptimWrapper
from ..models import SGSeg
from ..registry import MODELS, find, is_a


def image_size(config: Config) -> tuple[int, int]:
    """Height and width of the training images, from the config alone.

    Raises:
        ValueError: if the config leaves it to the files.
    """
    dataset = config.train_dataloader.dataset
    for transform in reversed(dataset.get("transforms") or []):
        if is_a(transform, (CropTo, ResizeWhole)):
            return int(transform["size"]), int(transform["size"])
    if dataset.get("size"):
        return int(dataset.size), int(dataset.size)
    if is_a(dataset, Potsdam):
        return 200, 200  # the protocol's patches
    raise ValueError("the config does not say how large an image is; give --size HEIGHT WIDTH")


def demand_sgseg(config: Config) -> None:
    """Refuse a model that has not the parts of SGSeg, which a benchmark takes apart.

    Raises:
        ValueError: naming the model, and the benchmark that takes any.
    """
    if not is_a(config.model, SGSeg):
        name = find(config.model.type).__name__
        raise ValueError(
            f"--config: a model of {name}; this benchmark takes SGSeg apart. Any method's training "
            "and inference are timed by tools/benchmark.py runtimes"
        )


def uses_amp(config: Config) -> bool:
    """Whether the config trains under autocast, as ``build_config(amp=True)`` sets it."""
    return is_a(config.optim_wrapper, (AmpOptimWrapper, CPUAmpOptimWrapper))


def noise(config: Config, batch: int, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) uint8."""
    bands = config.model.data_preprocessor.bands
    return torch.randint(0, 256, (batch, bands, *size), dtype=torch.uint8)


def step_data(model: Any, images: Tensor) -> dict[str, Tensor]:
    """What a step takes: the images, and some 200 square regions for a method that asks for any."""
    data = dict(inputs=images)
    if "regions" in inspect.signature(model.loss).parameters:
        height, width = images.shape[2:]
        rows, columns = (torch.arange(n) * 14 // n for n in (height, width))
        data["regions"] = (14 * rows[:, None] + columns).expand(len(images), -1, -1)
    return data


def build(model: Mapping[str, Any]) -> Any:
    """The model, training."""
    return MODELS.build(model).train()


def countable(model: Mapping[str, Any]) -> Any:
    """The model for fake tensors: rolling its coordinates asks for numbers, which these lack."""
    made = build(model)
    if hasattr(made, "roll_coordinates"):
        made.roll_coordinates = False
    if hasattr(getattr(made, "views", None), "roll"):
        made.views.roll = False
    return made


def losses(model: Any, images: Tensor, stage: str, amp: bool = False) -> Tensor:
    """Total loss of a stage; ``amp``: forward pass under bfloat16 autocast."""
    if hasattr(model, "stage"):
        model.stage = stage
    data = model.data_preprocessor(step_data(model, images), True)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
        return model.parse_losses(model(**data, mode="loss"))[0]


def forward_backward(model: Any, images: Tensor, stage: str, amp: bool = False) -> None:
    """Losses of a stage and their gradients, added to those that are there."""
    losses(model, images, stage, amp).backward()


class Training:
    """A model with its optimiser, for whole steps."""

    def __init__(self, config: Config, device: str) -> None:
        self.model = build(config.model).to(device)
        self.optimiser = build_optim_wrapper(self.model, config.optim_wrapper)

    def step(self, images: Tensor, stage: str) -> None:
        """One step of the optimiser."""
        if hasattr(self.model, "stage"):
            self.model.stage = stage
        self.model.train()
        self.model.train_step(step_data(self.model, images), optim_wrapper=self.optimiser)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> None:
        """The class of every pixel."""
        self.model.eval()
        data = self.model.data_preprocessor(dict(inputs=images), False)
        self.model(**data, mode="predict")
