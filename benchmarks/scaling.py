"""What ``sgseg plan --images`` computes, held against processes of this machine: 1, 2 and 4.

Each of W gloo processes takes its part of the config's total batch in steps of the last stage, and
predicts batches of its own; one thread each. Seconds are those of its processor, for on shared
cores wall time is that of whatever else runs; what a process waits for another is not in them. The
rate is that of the single process, so what is tested is how the rest follows from it.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper

from benchmarks.ranks import on_processes
from sgseg.cost.budget import prediction
from sgseg.cost.result import Result, Row
from sgseg.cost.scaling import BATCH, Cluster, count_work, step_parts
from sgseg.cost.workload import build, image_size, noise, step_data
from sgseg.training import build_config
from sgseg.training.length import stage_lengths

_LOOPBACK = dict(near=1e9, near_wait=1e-4)
"""Of gloo within a machine, assumed."""


class Taken(NamedTuple):
    """Seconds of one process, medians."""

    step: float
    wall: float
    """Of a step, by the clock."""
    predicted: float
    """Of a prediction."""


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py scaling``."""
    parser.add_argument("--config", default="configs/sgseg/sgseg_diffgcn_mosaic.py")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="1 first")
    parser.add_argument("--repeats", type=int, default=10, help="steps, after two that warm")


def run(args: Namespace) -> Result:
    """Measure and compute in turn."""
    config = build_config(args.config)
    stages, predicting = count_work(config, synchronised=False)
    work, total = stages[list(stage_lengths(config))[-1]], int(config.train_dataloader.batch_size)
    rows, rates = [], (0.0, 0.0)
    for world in args.processes:
        with tempfile.TemporaryDirectory() as folder:
            given = (args.config, args.repeats, str(Path(folder, "store")))
            taken = on_processes(_rank, world, *given)
        step, wall, read = (max(each) for each in zip(*taken, strict=True))
        if not any(rates):
            rates = total * work.flop / step, BATCH * predicting.flop / read
        trains, reads = (Cluster(rate, **_LOOPBACK) for rate in rates)
        wanted = step_parts(work, total // world, world, 0, trains).seconds
        values = {"step, CPU s": step, "computed, s": wanted, "measured / c.": step / wanted}
        values |= {"step, wall s": wall, "predict, CPU s": read}
        values |= {"meas. / c.": read / step_parts(predicting, BATCH, world, 0, reads).seconds}
        rows.append(Row(f"{world} processes of {total // world} images", values))
    figures = {"GFLOP/s, training": rates[0] / 1e9, "GFLOP/s, prediction": rates[1] / 1e9}
    return Result(f"Steps of {total} images, predictions of {BATCH}", rows, figures)


def _rank(rank: int, world: int, name: str, repeats: int, store: str, results: Any) -> None:
    torch.set_num_threads(1)
    config = build_config(name)  # before the processes join: its batch is the total
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    model = build(config.model)
    model.stage = list(stage_lengths(config))[-1]
    unused = config.get("find_unused_parameters", False)
    wrapped: Any = model
    if world > 1:
        wrapped = MMDistributedDataParallel(
            model, broadcast_buffers=False, find_unused_parameters=unused
        )
    optimiser = build_optim_wrapper(wrapped, config.optim_wrapper)
    batch = int(config.train_dataloader.batch_size) // world
    data = step_data(model, noise(config, batch, image_size(config)))
    steps = _seconds(partial(wrapped.train_step, data, optim_wrapper=optimiser), repeats)
    read = _seconds(partial(prediction, model, noise(config, BATCH, image_size(config))), repeats)
    results.put(Taken(*steps, read[0]))
    dist.barrier()
    dist.destroy_process_group()


def _seconds(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median seconds of the processor, and by the clock."""
    taken = []
    for _ in range(2 + repeats):
        began = time.process_time(), time.perf_counter()
        call()
        taken.append((time.process_time() - began[0], time.perf_counter() - began[1]))
    cpu, wall = zip(*taken[2:], strict=True)
    return median(cpu), median(wall)
