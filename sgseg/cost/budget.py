r"""GPU-hours and memory of whole trainings, from counted arithmetic and a stated utilisation.

.. math:: t = \frac{A}{u R}

A is the arithmetic of every step and evaluation of a run, counted on fake tensors (convolutions and
matrix products), R the card's peak rate and u the share of it that a run reaches, which is assumed:
nothing here is measured on a GPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from ..datasets.coco_stuff import FEW, FULL, PUBLISHED
from ..datasets.potsdam import COUNTS
from ..engine.untrained import UntrainedLoop
from ..registry import is_a
from ..training.length import stage_lengths
from . import measure
from .plan import GIBI, step_peak
from .result import Result, Row
from .workload import build, countable, forward_backward, image_size, noise

_FULL, _FEW = (sum(count for count, _ in PUBLISHED[name].values()) for name in (FULL, FEW))
_PATCHES = sum(COUNTS.values())
_SCORED = _PATCHES - COUNTS["unlabelled_train"]
SETS = dict(
    coco15=(_FULL, _FULL),
    coco3=(_FEW, _FEW),
    potsdam=(_PATCHES, _SCORED),
    potsdam3=(_PATCHES, _SCORED),
)
"""Data set -> images of the published protocol that are trained on, and that are scored."""


class Card(NamedTuple):
    """A GPU by its data sheet, dense rates."""

    name: str
    memory: float
    """GiB."""
    single: float
    """TFLOP/s of convolutions in float32, which torch does in TF32 where a card has it."""
    half: float
    """TFLOP/s in float16, sums in float32."""


CARDS = (
    Card("3090", 24, 35.6, 71.0),
    Card("A100", 80, 156.0, 312.0),
    Card("H100", 80, 495.0, 989.0),
)


class Budget(NamedTuple):
    """What a run takes."""

    flop: float
    """Of all steps and evaluations."""
    batch: int
    single: float
    """Bytes of a step in float32."""
    half: float
    """Bytes of a step with ``--amp``."""

    def hours(self, card: Card, utilisation: float, amp: bool) -> float | None:
        """Of one card; None where the batch does not fit into nine tenths of its memory."""
        if (self.half if amp else self.single) > 0.9 * card.memory * GIBI:
            return None
        rate = 1e12 * (card.half if amp else card.single)
        return self.flop / (utilisation * rate) / 3600


def run_budget(config: Config, images: int, scored: int) -> Budget:
    """Count a training with its evaluations.

    Args:
        config: from :func:`sgseg.training.build_config`.
        images: of the training set.
        scored: images of an evaluation.
    """
    size, batch = image_size(config), int(config.train_dataloader.batch_size)
    read = image_flop(config, size, prediction) * scored * _evaluations(config)
    if is_a(config.train_cfg, UntrainedLoop):
        return Budget(read, batch, 0, 0)
    epochs = stage_lengths(config)
    steps = {stage: image_flop(config, size, partial(training_step, stage)) for stage in epochs}
    trained = images * sum(steps[stage] * epochs[stage] for stage in epochs)
    stage = max(steps, key=lambda name: steps[name])  # the one that does most holds most
    halved = copy.deepcopy(config)
    halved.optim_wrapper.type = "AmpOptimWrapper"
    with torch.device("meta"):
        weights = sum(p.numel() * p.element_size() for p in build(config.model).parameters())
    peaks = []
    for each in (config, halved):
        fixed, more = step_peak(each.model, each, stage, size)
        peaks.append(3 * weights + fixed + more * batch)  # with Adam's moments
    return Budget(trained + read, batch, *peaks)


def budget_table(
    title: str,
    rows: Iterable[tuple[str, Config]],
    images: int,
    scored: int,
    utilisation: float = 0.2,
) -> Result:
    """Arithmetic, memory and hours of each row; equal configs are counted once.

    Args:
        title: of the table.
        rows: label and config.
        images, scored: see :func:`run_budget`.
        utilisation: share of a card's peak rate, in (0, 1].

    Raises:
        ValueError: for another utilisation.
    """
    check_utilisation(utilisation)
    known: dict[str, Budget] = {}
    lines = []
    for label, config in rows:
        text = config.pretty_text
        budget = known[text] = known.get(text) or run_budget(config, images, scored)
        values = {"PFLOP": budget.flop / 1e15, "batch": budget.batch}
        values |= {"GiB": budget.single / GIBI, "GiB, amp": budget.half / GIBI}
        for card in CARDS:
            for amp in (False, True):
                hours = budget.hours(card, utilisation, amp)
                if hours is not None:
                    values[f"{card.name}{', amp' if amp else ''} h"] = hours
        lines.append(Row(label, values))
    figures: dict[str, float | str] = {"images trained on": images, "images scored": scored}
    return Result(title, lines, figures | {"utilisation, assumed": utilisation})


def check_utilisation(share: float) -> None:
    """ValueError for what is no share of a peak rate."""
    if not 0 < share <= 1:
        raise ValueError(f"--utilisation {share}: a share of the peak rate, in (0, 1]")


def image_flop(
    config: Config, size: tuple[int, int], call: Callable[[Any, torch.Tensor], Any]
) -> float:
    """Operations of a call on the model and one image of ``size``, (1, C, H, W) uint8."""
    try:
        with measure.as_fake(model := countable(config.model)):
            images = noise(config, 1, size)
            return measure.flops(lambda: call(model, images))
    except RuntimeError:  # it asks a tensor for numbers, which a fake has none of
        model, images = countable(config.model), noise(config, 2, size)
        return measure.flops(lambda: call(model, images)) / len(images)


def training_step(stage: str, model: Any, images: torch.Tensor) -> None:
    """Losses of a stage and their gradients."""
    forward_backward(model, images, stage)


def prediction(model: Any, images: torch.Tensor) -> None:
    """The class of every pixel."""
    model.eval()
    data = model.data_preprocessor(dict(inputs=images), False)
    with torch.no_grad():
        model(**data, mode="predict")


def _evaluations(config: Config) -> int:
    """How often the run is scored: as mmengine's loop decides it, and after the last epoch."""
    loop = config.train_cfg
    last, every, begin = loop.max_epochs, loop.get("val_interval", 1), loop.get("val_begin", 1)
    return len([e for e in range(begin, last + 1) if e % every == 0 or e == last])
