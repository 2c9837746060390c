"""Write a cache with all cores, so that a stop at any moment costs a shard and no truth.

A job is one shard: its pixels are written under a temporary name, flushed and renamed, and then
its rows likewise, so rows without a whole shard cannot be. The manifest comes when every shard is
there. A second call takes over the shards that are there, if they are of the same plan.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import sgseg

from ...io.atomic import replacing, write_atomically
from ...io.badfile import BadFileError
from ...io.signals import ctrl_c_stays_here
from ..cache import (
    FORMAT,
    PLAN,
    Cache,
    Sample,
    is_cache,
    row_type,
    shard_name,
    write_manifest,
    write_sample,
)

ROWS = "rows"

Progress = Callable[[int, int], None]
"""Called with (items done, all items): at the start, and when a shard is there."""


class Job(Protocol):
    """One shard's work; crosses to a worker process by pickling."""

    def names(self) -> list[str]:
        """Name of every sample, in order; each begins with its split or tile."""

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order of their names."""


class Plan(NamedTuple):
    """Everything that decides what a cache will hold."""

    jobs: Sequence[Job]
    splits: Sequence[str]
    split_of: Sequence[int]
    """Number of the split of every item, over all jobs."""
    lists_of: Sequence[int]
    """Bits of the curated lists of every item."""
    facts: dict[str, Any]
    """Entries of the manifest; see :func:`sgseg.datasets.cache.write_manifest`."""


def build(plan: Plan, out: str | Path, workers: int = 1, progress: Progress | None = None) -> Cache:
    """Write the cache of a plan, or go on where an earlier call stopped.

    Args:
        plan: what to write.
        out: the cache's folder.
        workers: processes; 1 works in this one.
        progress: told at the start and after every shard.

    Raises:
        BadFileError: for an input that cannot be used; earlier shards stay for the next call.
        FileExistsError: if ``out`` holds a cache, or the beginning of one, of another plan.
        OSError: if writing fails, a full disk for example; the same call goes on later.
    """
    out = Path(out)
    names = [name.encode() for job in plan.jobs for name in job.names()]
    if not names:
        raise ValueError(f"{out}: the plan names no image")
    facts = plan.facts | dict(sgseg_version=sgseg.__version__, splits=list(plan.splits))
    identity = _identity(plan, names, facts)
    if is_cache(out):
        return _finished(out, identity)
    _begin(out, identity)
    sizes = [len(job.names()) for job in plan.jobs]
    done = {n for n in range(len(plan.jobs)) if _is_whole(out, n, sizes[n])}
    tell = progress or (lambda finished, total: None)
    finished = sum(sizes[number] for number in done)
    tell(finished, len(names))
    width = max(map(len, names))
    tasks = [(out, n, job, width, facts["bands"]) for n, job in enumerate(plan.jobs)]
    for number in _run([task for task in tasks if task[1] not in done], workers):
        finished += sizes[number]
        tell(finished, len(names))
    rows = np.concatenate([np.load(_rows_path(out, n)) for n in range(len(plan.jobs))])
    rows["split"], rows["lists"] = plan.split_of, plan.lists_of
    write_manifest(out, rows, facts | dict(plan_sha256=identity))
    shutil.rmtree(out / ROWS)
    (out / PLAN).unlink()
    return Cache(out)


def write_shard(out: Path, number: int, job: Job, name_bytes: int, bands: int) -> int:
    """Write shard ``number`` and its rows; gives the number back."""
    names = job.names()
    rows = np.zeros(len(names), row_type(name_bytes))
    rows["name"], rows["shard"] = [name.encode() for name in names], number
    with replacing(out / shard_name(number)) as file:
        for row, name, sample in zip(rows, names, job.samples(), strict=True):
            if sample.image.dtype != np.uint8 or sample.image.shape[2:] != (bands,):
                raise BadFileError(
                    name,
                    f"holds {sample.image.dtype} of shape {sample.image.shape}; a cache takes "
                    f"8 bit and {bands} bands",
                    "dtype",
                )
            write_sample(file, sample, row)
    content = io.BytesIO()
    np.save(content, rows)
    write_atomically(_rows_path(out, number), content.getvalue())
    return number


def _run(tasks: Sequence[tuple[Any, ...]], workers: int) -> Iterator[int]:
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield write_shard(*task)
        return
    # Spawned, not forked: a fork of a process with threads (torch, OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, become_worker)
    try:
        with ctrl_c_stays_here():
            futures = [pool.submit(write_shard, *task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def become_worker() -> None:
    """One thread for OpenCV, for there is a process a core; and die with the parent."""
    import cv2

    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _identity(plan: Plan, names: Sequence[bytes], facts: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode())
    for name, split, lists in zip(names, plan.split_of, plan.lists_of, strict=True):
        digest.update(b"%s %d %d\n" % (name, split, lists))
    return digest.hexdigest()


def _finished(out: Path, identity: str) -> Cache:
    cache = Cache(out)
    if cache.manifest.get("plan_sha256") != identity:
        raise FileExistsError(
            f"{out} holds a finished cache of other images or another protocol (or of another "
            "version of sgseg): choose another folder, or delete it"
        )
    return cache


def _begin(out: Path, identity: str) -> None:
    """Make the folder ready for shards of this plan."""
    content = json.dumps(dict(plan_sha256=identity)).encode()
    path = out / PLAN
    if path.is_file() and path.read_bytes() != content:
        raise FileExistsError(
            f"{out} holds the beginning of a cache of other images or another protocol (or of "
            "another version of sgseg): choose another folder, or delete it"
        )
    if not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty and not the beginning of a cache")
    for part in out.glob("*.part"):  # left by a killed run
        part.unlink()
    write_atomically(path, content)


def _rows_path(out: Path, number: int) -> Path:
    return out / ROWS / f"{shard_name(number)}.npy"


def _is_whole(out: Path, number: int, items: int) -> bool:
    """Whether a shard was finished by an earlier call; its rows are written after it."""
    shard, rows = out / shard_name(number), _rows_path(out, number)
    return shard.is_file() and rows.is_file() and len(np.load(rows, mmap_mode="r")) == items
