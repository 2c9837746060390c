"""Start-up and memory of each process of a training by the size of the data set, which they share.

Each of 1, 2 and 4 gloo processes opens one prepared cache, builds its sampler and its loader with
one worker, and takes ten batches, as ``sgseg train`` does; the model is left out. Images are small:
what grows here grows with the number of items. Memory is that of no file (``/proc/PID/smaps``):
pages of a mapped cache are the system's, which all processes share and which it drops when it needs
the memory, also while a single process maps them. Of a worker, a fork, it is what it does not share
with its parent.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from mmengine.runner import Runner

from sgseg.cost.measure import MEBI
from sgseg.cost.result import Goal, Result, Row
from sgseg.datasets import COCOStuff15, DrawSampler
from sgseg.datasets.cache import Sample, row_type, shard_name, write_manifest, write_sample

SIDE, BATCH, BATCHES = 16, 8, 10


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py ranks``."""
    parser.add_argument("--items", type=int, nargs=2, default=[2000, 50000], help="of two caches")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4], help="processes")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the median counts")


class Cost(NamedTuple):
    """Of one process, from open files to the tenth batch."""

    seconds: float
    """Of its processor, to the first batch: wall time is that of whatever else runs."""
    grown: float
    """MiB that the process grew by."""
    worker: float
    """Private MiB of its worker."""


def run(args: Namespace) -> Result:
    """Measure the caches in turn for each number of processes."""
    found: dict[tuple[int, int], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for items in args.items:
            write_cache(Path(folder, str(items)), items)
        for world in args.ranks:
            for turn in range(args.repeats):
                for items in args.items:
                    store = Path(folder, f"store_{world}_{turn}_{items}")
                    costs = on_processes(_rank, world, str(Path(folder, str(items))), str(store))
                    # The slowest and the largest process: the others wait for it.
                    largest = Cost(*np.max(costs, axis=0).tolist())
                    found.setdefault((world, items), []).append(largest)
    median = {key: Cost(*np.median(costs, axis=0).tolist()) for key, costs in found.items()}
    rows = [
        Row(f"{world} processes, {items} items", _columns(cost))
        for (world, items), cost in sorted(median.items())
    ]
    few, many = args.items
    goals = [
        Goal(
            f"{world} processes, {many} items, MiB more than with {few}",
            median[world, many].grown - median[world, few].grown,
            "<=",
            2.0,
        )
        for world in args.ranks
    ]
    return Result(f"Start of each process, worst of all, batches of {BATCH}", rows, {}, goals)


def _columns(cost: Cost) -> dict[str, float]:
    names = ("CPU s to batch", "grown by, MiB", "worker, MiB")
    return dict(zip(names, cost, strict=True))


def write_cache(folder: Path, items: int) -> None:
    """A prepared cache of COCO-Stuff's kind with noise of 16 x 16 pixels for images."""
    folder.mkdir()
    rows = np.zeros(items, row_type(32))
    rng = np.random.default_rng(0)
    with (folder / shard_name(0)).open("wb") as file:
        for number in range(items):
            rows[number]["name"] = f"train2017/{number:012d}".encode()
            image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            write_sample(file, Sample(image, None), rows[number])
    facts: dict[str, Any] = dict(dataset="coco_stuff", bands=3, splits=["train2017"], lists={})
    write_manifest(folder, rows, facts | dict(applied=[], protocol={}))


def on_processes(target: Callable[..., None], world: int, *given: Any) -> list[Any]:
    """What each of ``world`` processes puts that start together, none of them a fork.

    Args:
        target: called with rank, world, ``given`` and a queue, in which it puts one result.
        world: how many.
        given: what else it takes.

    Raises:
        RuntimeError: if one of them fails; its error stands above.
    """
    context = multiprocessing.get_context("spawn")
    results: Any = context.SimpleQueue()
    pool = [
        context.Process(target=target, args=(rank, world, *given, results)) for rank in range(world)
    ]
    for process in pool:
        process.start()
    for process in pool:
        process.join()
    codes = [process.exitcode for process in pool]
    if any(codes):
        raise RuntimeError(
            f"{world} processes with {given} ended with {codes}; see their errors above"
        )
    return [results.get() for _ in pool]


def _rank(rank: int, world: int, cache: str, store: str, results: Any) -> None:
    import cv2  # noqa: F401 - of the first image, which costs the same in any data set

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    dist.barrier()
    before, began = memory(os.getpid()), time.process_time()
    dataset = COCOStuff15(cache, splits=["train2017"])
    loader = Runner.build_dataloader(
        dict(
            batch_size=BATCH,
            num_workers=1,
            persistent_workers=True,
            multiprocessing_context="fork",  # as a training's; this process is a spawned one
            dataset=dataset,
            sampler=dict(type=DrawSampler, shuffle=True),
            collate_fn=dict(type="default_collate"),
        ),
        seed=0,
    )
    described = dataset.metainfo  # every run writes it down
    batches = iter(loader)
    next(batches)
    seconds = time.process_time() - began
    for _ in islice(batches, BATCHES - 1):
        pass
    worker = memory(batches._workers[0].pid, "Private_")  # type: ignore[attr-defined]
    grown = memory(os.getpid()) - before
    dist.barrier()
    results.put(Cost(seconds, grown / MEBI, worker / MEBI))
    del described
    dist.destroy_process_group()


def memory(pid: int, kind: str = "Anonymous") -> int:
    """Bytes that a process has in memory and that are of no file.

    Args:
        pid: of the process.
        kind: how the lines of smaps that count begin; ``Private_`` leaves out what is shared.
    """
    kibi, of_file = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):  # ADDRESSES PERMISSIONS OFFSET DEVICE INODE [PATH]
            of_file = rest[3] != "0"
        elif first.startswith(kind) and not of_file:
            kibi += int(rest[0])
    return 1024 * kibi
