r"""How fast many GPUs train and predict, computed from what was counted and from stated rates.

A step with b images on each of W GPUs, G of them in a machine, takes

.. math::
    t = \max\Bigl\{\max\Bigl(\frac{b A}{u R},\; c h\Bigr) + \sum_e t_e,\;
        \frac{b \min(W, G)\, S}{D}\Bigr\}

with A operations an image in convolutions and matrix products (counted on fake tensors), the
reached rate u R, c calls of torch's operations (counted), each of which keeps the host h seconds, S
bytes an image and D bytes a second of a machine's disk. What a step exchanges is counted, too: V
bytes over a link of L bytes a second, whose every hop waits for l seconds,

.. math::
    t_\text{reduce} = \frac{2 (W - 1)}{W} \frac{V}{L} + 2 \lceil \log_2 W \rceil\, l, \quad
    t_\text{gather} = (W - 1) \frac{V}{L} + \lceil \log_2 W \rceil\, l.

Reading goes on beside computing; exchanging does not, although DistributedDataParallel sums one
part of the gradients while it computes the next. Evaluations, start-up but for the index, and files
that a prediction writes are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from ..datasets import ImageFolder
from ..registry import is_a
from ..training.length import stage_lengths
from . import budget, measure
from .communication import Step, step_communication
from .result import Result, Row
from .workload import countable, image_size, noise, uses_amp

_A100 = next(card for card in budget.CARDS if card.name == "A100")
_MANY = 6
BATCH = 8
"""Images of a prediction at a time, which ``sgseg predict --batch-size`` has by default."""


class Cluster(NamedTuple):
    """What the machines can do: by data sheets and experience, none of it measured here."""

    rate: float
    """u R: operations a second that a GPU reaches."""
    in_machine: int = 8
    """G: GPUs of a machine."""
    near: float = 2e11
    """L within a machine, bytes a second of a GPU."""
    far: float = 2e10
    """L between machines, bytes a second of a GPU."""
    near_wait: float = 5e-6
    """l within a machine, seconds."""
    far_wait: float = 15e-6
    """l between machines, seconds."""
    host: float = 8e-6
    """h: seconds of the host for each call of an operation."""
    disk: float = 2e9
    """D: bytes a second of a machine's disk, or of its part of a shared one."""
    item: float = 0.5e-6
    """Seconds of each process at its start for each image of a prepared cache, measured."""
    file: float = 0.46e-3
    """The same for each file of a folder, whose header it reads, measured."""


class Work(NamedTuple):
    """What was counted of a step, or of a prediction."""

    flop: float
    """A: operations of an image."""
    calls: float
    """c: of torch's operations, views too, without images."""
    calls_each: float
    """More of them for each image, where maps are taken in blocks."""
    exchanged: Step
    """Of each process; empty for a prediction."""


class Parts(NamedTuple):
    """Seconds of a step, by what takes them."""

    arithmetic: float
    calls: float
    exchange: float
    reading: float

    @property
    def seconds(self) -> float:
        """Of the step."""
        return max(max(self.arithmetic, self.calls) + self.exchange, self.reading)

    @property
    def limit(self) -> str:
        """What takes longest."""
        return max(self._fields, key=lambda name: getattr(self, name))


def step_parts(work: Work, batch: int, processes: int, size: float, cluster: Cluster) -> Parts:
    """The parts of a step.

    Args:
        work: what was counted.
        batch: b, images of each process.
        processes: W.
        size: S, bytes of an image on the disk.
        cluster: the rates.
    """
    return Parts(
        batch * work.flop / cluster.rate,
        (work.calls + batch * work.calls_each) * cluster.host,
        exchange_seconds(work.exchanged, processes, cluster),
        batch * min(processes, cluster.in_machine) * size / cluster.disk,
    )


def exchange_seconds(exchanged: Step, processes: int, cluster: Cluster) -> float:
    """Seconds of all collectives of a step, one after the other; 0 of a single process."""
    if processes < 2:
        return 0.0
    within = processes <= cluster.in_machine
    link, wait = (cluster.near, cluster.near_wait) if within else (cluster.far, cluster.far_wait)
    hops, seconds = math.ceil(math.log2(processes)), 0.0
    for key, (calls, size) in exchanged.items():
        if "gather" in key.operation:
            seconds += (processes - 1) * size / link + calls * hops * wait
        else:
            seconds += 2 * (processes - 1) / processes * size / link + calls * 2 * hops * wait
    return seconds


def count_work(config: Config, synchronised: bool = True) -> tuple[dict[str, Work], Work]:
    """Count a training step of every stage, and a prediction of :data:`BATCH` images.

    Args:
        config: from :func:`sgseg.training.build_config`.
        synchronised: whether batch normalisation is, as on GPUs.

    Returns:
        Stage -> work, and the prediction's.

    Raises:
        ValueError: for a method that takes no steps, or images whose size the config leaves open.
    """
    exchanged = step_communication(config, 2, synchronised)  # how much does not depend on how many
    stages = {
        stage: Work(*_counted(config, partial(budget.training_step, stage)), step)
        for stage, step in exchanged.items()
    }
    return stages, Work(*_counted(config, budget.prediction), {})


def _counted(config: Config, call: Callable[[Any, Any], Any]) -> tuple[float, float, float]:
    """Operations of an image, calls without images, and more calls for each."""
    one, many = (_calls(config, call, batch) for batch in (1, _MANY))
    each = (many - one) / (_MANY - 1)
    return budget.image_flop(config, image_size(config), call), one - each, each


def _calls(config: Config, call: Callable[[Any, Any], Any], batch: int) -> int:
    """Calls of a step, in blocks of large maps as a GPU takes them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(32)  # a block is 2 MiB for each thread of a CPU, and 64 on a GPU
    try:
        with measure.as_fake(model := countable(config.model)):
            images = noise(config, batch, image_size(config))
            with measure.CallCounter() as counter:
                call(model, images)
    except RuntimeError:  # it asks a tensor for numbers, which a fake has none of
        model, images = countable(config.model), noise(config, batch, image_size(config))
        with measure.CallCounter() as counter:
            call(model, images)
    finally:
        torch.set_num_threads(threads)
    return counter.calls


class Run(NamedTuple):
    """Steps of several kinds on so many processes."""

    processes: int
    batch: int
    """Of each."""
    steps: Mapping[str, tuple[int, Parts]]
    """Stage -> epochs, and a step's parts."""

    @property
    def speed(self) -> float:
        """Images a second of all processes, over the epochs."""
        seconds = sum(epochs * parts.seconds for epochs, parts in self.steps.values())
        epochs = sum(epochs for epochs, _ in self.steps.values())
        return self.processes * self.batch * epochs / seconds

    def hours(self, images: int) -> float:
        """Of epochs that see so many images, in whole batches, of one at least."""
        steps = max(1, images // (self.processes * self.batch))
        return sum(epochs * steps * part.seconds for epochs, part in self.steps.values()) / 3600

    def parts(self) -> Parts:
        """The mean step."""
        epochs = sum(epochs for epochs, _ in self.steps.values())
        weighted = [[n * part / epochs for part in parts] for n, parts in self.steps.values()]
        return Parts(*map(sum, zip(*weighted, strict=True)))


def check_asked(processes: Sequence[int], images: Sequence[int], utilisation: float) -> None:
    """ValueError for what :func:`scaling_table` refuses of its numbers."""
    budget.check_utilisation(utilisation)
    for option, given in (("--gpus", processes), ("--images", images)):
        if min(given) < 1:
            raise ValueError(f"{option} {min(given)}: give 1 or more")


def scaling_table(
    config: Config, processes: Sequence[int], images: Sequence[int], utilisation: float = 0.2
) -> Result:
    """Images a second and hours of trainings and predictions, on A100s.

    The total batch is the config's while each process has an image of it, and one image of each
    process beyond: that is another training.

    Args:
        config: from :func:`sgseg.training.build_config`, on one process.
        processes: numbers of GPUs.
        images: sizes of data sets.
        utilisation: u, share of the peak rate that is reached, in (0, 1].

    Raises:
        ValueError: for counts below 1, another utilisation, and as :func:`count_work`.
    """
    check_asked(processes, images, utilisation)
    rate = utilisation * 1e12 * (_A100.half if uses_amp(config) else _A100.single)
    cluster, (stages, prediction) = Cluster(rate), count_work(config)
    height, width = image_size(config)
    size = float(config.model.data_preprocessor.bands * height * width)
    epochs, total = stage_lengths(config), int(config.train_dataloader.batch_size)
    drawn = (config.train_dataloader.get("sampler") or {}).get("images")

    indexed = is_a(config.train_dataloader.dataset, ImageFolder)
    start = cluster.file if indexed else cluster.item

    def training(count: int) -> Run:
        batch = max(1, total // count)
        parts = {
            name: step_parts(work, batch, count, size, cluster) for name, work in stages.items()
        }
        return Run(count, batch, {name: (epochs[name], parts[name]) for name in stages})

    def predicting(count: int) -> Run:
        parts = step_parts(prediction, BATCH, count, size, cluster)
        return Run(count, BATCH, {"predict": (1, parts)})

    rows = [
        *(_row("train", training, n, {i: drawn or i for i in images}, start) for n in processes),
        *(_row("predict", predicting, n, {i: i for i in images}, 0.0) for n in processes),
    ]
    assumed = {f"{key}, assumed": value for key, value in cluster._asdict().items()}
    figures = {"bytes of an image": size, "share of the peak rate, assumed": utilisation}
    return Result("Computed, not measured: A100s", rows, figures | assumed)


def _row(
    what: str, run: Callable[[int], Run], processes: int, seen: Mapping[int, int], start: float
) -> Row:
    """A line of the table.

    Args:
        what: its name.
        run: number of processes -> run.
        processes: of this line.
        seen: images of a set -> of them, those that an epoch sees.
        start: seconds at the start for each image of the set.
    """
    made = run(processes)
    parts = made.parts()
    values = {"images/s": made.speed, "% of linear": 100 * made.speed / processes / run(1).speed}
    for count, each in seen.items():
        values[f"h, {count:,}"] = made.hours(each) + start * count / 3600
    values |= {f"{name}, ms": 1e3 * part for name, part in parts._asdict().items()}
    return Row(f"{what}, {processes} GPUs, batch {processes * made.batch}: {parts.limit}", values)
