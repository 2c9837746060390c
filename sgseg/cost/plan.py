"""What a config needs before it is run: memory, time, and what to change so that it fits.

Memory is counted on fake tensors, so nothing is allocated and no GPU is needed; for a method whose
step asks its tensors for numbers, in real steps of two and three images. It is that of weights,
their gradients, Adam's two moments, and the most that lives at one time within a step. A kernel's
own scratch memory is not counted; a tenth of the card is left for it.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ..engine.run_card import device_name
from ..engine.untrained import UntrainedLoop
from ..registry import DATASETS, find, is_a
from ..training.length import stage_lengths
from . import measure
from .workload import (
    Training,
    build,
    countable,
    forward_backward,
    image_size,
    noise,
    uses_amp,
)

GIBI = 2**30
_RESERVE = 0.9
_TABLE = (1, 2, 4, 8, 16, 32, 64)


@dataclass
class Plan:
    """What was counted, and what to do about it.

    Args:
        stage: the one that needs most memory.
        fixed: bytes of weights, gradients and moments.
        first, each: bytes of a step's peak: of what no image adds to, and of each image.
        wanted: the configured batch.
        images: of the training set; None if it is not here.
        epochs: of each stage.
        seconds: an image of each stage, on this machine; empty if not timed.
        checkpointed: bytes of each image with checkpointing; None if the backbone has none or
            the config has it on.
        half: bytes of a step's peak under ``--amp``, of what no image adds to and of each image;
            None if it is on.
    """

    stage: str
    fixed: int
    first: float
    each: float
    wanted: int
    size: tuple[int, int]
    images: int | None = None
    epochs: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    checkpointed: float | None = None
    half: tuple[float, float] | None = None

    def peak(self, batch: int) -> float:
        """Bytes of a training step."""
        return self.fixed + self.first + self.each * batch

    def largest_batch(self, memory: float, other: tuple[float, float] | None = None) -> int:
        """Images that fit into ``memory`` bytes, 0 if none does; ``other``: first and each."""
        first, each = other or (self.first, self.each)
        return max(0, math.floor((_RESERVE * memory - self.fixed - first) / each))

    def hours(self) -> float | None:
        """Training time on this machine; None without times or images."""
        if not self.seconds or self.images is None:
            return None
        per_image = sum(self.seconds[name] * count for name, count in self.epochs.items())
        return per_image * self.images / 3600

    def advice(self, memory: float) -> list[str]:
        """What to set for a card of ``memory`` bytes."""
        fits = self.largest_batch(memory)
        if fits >= self.wanted:
            return [f"the configured batch of {self.wanted} fits; {fits} would"]
        lines = [self._verdict(fits)]
        if self.checkpointed is not None:
            more = self.largest_batch(memory, (self.first, self.checkpointed))
            lines.append(
                f"with --cfg-options model.backbone.checkpoint=True: {self._verdict(more)}"
            )
        if self.half is not None:
            lines.append(f"with --amp: {self._verdict(self.largest_batch(memory, self.half))}")
        if not fits:
            lines.append("--preset small or tiny, or smaller images, need less")
        return lines

    def _verdict(self, fits: int) -> str:
        if fits >= self.wanted:
            return "the batch fits"
        return accumulation(self.wanted, fits) if fits else "not even one image fits"

    def text(self, memory: float) -> str:
        """Everything, for a person."""
        lines = [
            f"Images of {self.size[0]} x {self.size[1]}; stage {self.stage!r} needs most.",
            f"Weights, gradients and Adam's moments: {self.fixed / GIBI:.2f} GiB",
            "Peak of a step, by batch:",
        ]
        for batch in sorted({*_TABLE, self.wanted}):
            mark = "  <- configured" if batch == self.wanted else ""
            over = "" if self.peak(batch) <= _RESERVE * memory else "  does not fit"
            lines.append(f"  {batch:>4}  {self.peak(batch) / GIBI:8.2f} GiB{over}{mark}")
        lines += [f"For {memory / GIBI:g} GiB: {line}" for line in self.advice(memory)]
        for stage, seconds in self.seconds.items():
            epochs = self.epochs[stage]
            lines.append(f"Stage {stage!r}: {1e3 * seconds:.1f} ms an image, {epochs} epochs")
        hours = self.hours()
        if hours is not None:
            lines.append(
                f"{self.images} images, so {hours:.1f} h of training on {device_name()}, "
                "evaluations apart"
            )
        return "\n".join(lines)


def accumulation(wanted: int, fits: int) -> str:
    """How to take steps of exactly ``wanted`` images with at most ``fits`` at a time.

    More processes come first: mutual information is summed over them, not over passes.
    """
    batch = max((n for n in range(1, fits + 1) if wanted % n == 0), default=1)
    return (
        f"train_dataloader.batch_size={batch} optim_wrapper.accumulative_counts="
        f"{wanted // batch} (normalisation and mutual information then see {batch} images: another "
        f"loss than that of {wanted}, which {wanted // batch} GPUs of {batch} images each keep)"
    )


def make_plan(
    config: Config,
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    timed: bool = True,
) -> Plan:
    """Count a config's memory, and time two steps of each stage.

    Args:
        config: from :func:`sgseg.training.build_config`.
        size: of the images; default the config's.
        batch: the wanted one; default the config's.
        timed: whether to run two real steps a stage, on this device at batch 2.

    Raises:
        ValueError: if the size of the images is not known, or for a method that takes no steps.
    """
    if is_a(config.train_cfg, UntrainedLoop):
        raise ValueError("this config takes no training steps (UntrainedLoop): nothing to plan")
    size = size or image_size(config)
    epochs = stage_lengths(config)
    peaks = {stage: step_peak(config.model, config, stage, size) for stage in epochs}
    stage = max(peaks, key=lambda name: peaks[name][1])
    first, each = peaks[stage]
    half = None
    if not uses_amp(config):
        halved = copy.deepcopy(config)
        halved.optim_wrapper.type = "AmpOptimWrapper"
        half = step_peak(halved.model, halved, stage, size)
    with torch.device("meta"):
        parameters = list(build(config.model).parameters())
    sizes = [(p.numel() * p.element_size(), p.requires_grad) for p in parameters]
    try:
        images = len(DATASETS.build(config.train_dataloader.dataset))
    except (FileNotFoundError, ValueError):
        images = None  # the data are not here; the memory is known without them
    return Plan(
        stage=stage,
        # Both moments of what trains too; gradients live within the step's peak.
        fixed=sum(size * (3 if trains else 1) for size, trains in sizes),
        first=first,
        each=each,
        wanted=batch or int(config.train_dataloader.batch_size),
        size=size,
        images=images,
        epochs=epochs,
        seconds=_seconds(config, size, tuple(epochs)) if timed else {},
        checkpointed=_checkpointed(config, stage, size),
        half=half,
    )


def step_peak(
    model: Mapping[str, Any], config: Config, stage: str, size: tuple[int, int]
) -> tuple[float, float]:
    """Bytes that a step's peak has without images, and for each image.

    Two batches are counted: the peak grows by the same amount with every image.
    """

    def peak(made: Any, batch: int) -> int:
        step = partial(forward_backward, made, noise(config, batch, size), stage, uses_amp(config))
        return measure.peak_bytes(step)

    peaks = []
    for batch in (2, 3):
        try:
            with measure.as_fake(made := countable(model)):
                peaks.append(peak(made, batch))
        except RuntimeError:  # it asks a tensor for numbers, which a fake has none of
            peaks.append(peak(build(model), batch))
    each = float(peaks[1] - peaks[0])
    return peaks[0] - 2 * each, each


def _checkpointed(config: Config, stage: str, size: tuple[int, int]) -> float | None:
    """Bytes of each image with checkpointing; None where there is none, or it is on."""
    backbone = config.model.get("backbone") or {}
    kind = find(backbone.get("type"))
    if kind is None or "checkpoint" not in inspect.signature(kind).parameters:
        return None
    if backbone.get("checkpoint"):
        return None  # the peak is counted with it
    model = dict(config.model, backbone=dict(backbone, checkpoint=True))
    return step_peak(model, config, stage, size)[1]


def _seconds(config: Config, size: tuple[int, int], stages: tuple[str, ...]) -> dict[str, float]:
    """Measured seconds of an image in each stage, of a step of two."""
    device = str(get_device())
    work, images = Training(config, device), noise(config, 2, size).to(device)
    ways = {stage: (lambda name=stage: work.step(images, name)) for stage in stages}
    taken = measure.seconds(ways, repeats=2, warm=1)
    return {stage: seconds / len(images) for stage, seconds in taken.items()}
