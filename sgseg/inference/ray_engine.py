"""Batches on many workers: those of a Ray cluster, or processes of this machine.

A worker holds a segmenter of its own and writes the files of its images itself, so OUT, the images
and the checkpoint lie where all workers see them. Only what each image gave comes back. A worker
that dies is begun anew and its batch done again.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..io.progress import usable_cores
from ..io.signals import ctrl_c_stays_here
from .batches import Batch, BatchWriter, Remark, Written
from .outputs import Look, image_name
from .segmenter import Segmenter

ROUND = 10_000
"""Batches that are handed to Ray at once."""
BLOCKS = 2_000
"""Pieces that these come in, of which each is done again as a whole."""
TRIES = 3
"""How often a batch is begun whose worker died of it."""
_STORE = 512 * 2**20
"""Bytes of shared memory on this machine: batches are lists of names."""


@dataclass
class RayEngine:
    """An :class:`.Engine` of Ray Data.

    Args:
        opening: makes a worker's segmenter; paths in it are absolute.
        workers: default one a GPU, or a core, of the cluster.
        address: of the cluster, ``host:6379`` or ``auto``; default processes of this machine.
        gpus_per_worker: a part of one shares it; default 1 where there are GPUs, else 0.

    Raises:
        ValueError: for fewer than one worker, or a negative part of a GPU.
        ModuleNotFoundError: without Ray.
        ConnectionError: if the cluster does not answer.
        FileNotFoundError: when called, for a checkpoint that the workers cannot see.
    """

    opening: Callable[[], Segmenter]
    workers: int | None = None
    address: str | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers {self.workers}: one or more")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise ValueError(f"--gpus-per-worker {self.gpus_per_worker}: 0 (the CPU) or more")
        import_ray()

    def __call__(self, writer: BatchWriter, batches: Iterable[Batch]) -> Iterator[Written]:
        """See :class:`.Engine`."""
        ray = import_ray()
        self._connect(ray)
        try:
            batches = iter(batches)
            while part := list(islice(batches, ROUND)):
                for written, remarks in self._round(ray, writer, part):
                    for remark in remarks:
                        writer.say_once(*remark)
                    yield from written
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        common = dict(log_to_driver=False, logging_level=logging.ERROR)
        with ctrl_c_stays_here(), _unheard():
            if self.address is None:
                self._start(ray, common)
                return
            try:
                _knock(self.address)
                ray.init(address=self.address, **common)
            except (OSError, RuntimeError, ValueError) as error:
                raise ConnectionError(
                    f"--address {self.address}: no Ray cluster answers there "
                    f"({_first_line(error)}); `ray status` on its head says the address, or leave "
                    "--address out to use this machine"
                ) from error

    def _start(self, ray: Any, common: dict[str, Any]) -> None:
        """Ray on this machine; beside other work its half a minute may be too short."""
        places = [os.path.abspath(place) for place in sys.path if os.path.exists(place or ".")]
        path = dict(env_vars={"PYTHONPATH": os.pathsep.join(places)})
        common |= dict(num_cpus=self.workers or usable_cores(), runtime_env=path)
        common |= dict(object_store_memory=_STORE, include_dashboard=False)
        for left in reversed(range(TRIES)):
            try:
                ray.init(**common)
                return
            except Exception as error:  # Ray raises the plain class
                ray.shutdown()
                if not left:
                    raise RuntimeError(
                        f"Ray did not start on this machine ({_first_line(error)}); try again "
                        "when less else is running, or leave --engine out"
                    ) from error

    def _round(
        self, ray: Any, writer: BatchWriter, batches: list[Batch]
    ) -> Iterator[tuple[list[Written], list[Remark]]]:
        import ray.data as data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what is missing in the end is listed
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        gpus = self.gpus_per_worker
        found = ray.cluster_resources()
        if gpus is None:
            gpus = 1.0 if found.get("GPU") else 0.0
        most = found.get("GPU", 0) / gpus if gpus else found.get("CPU", 1)
        workers = self.workers or max(1, int(most))
        if workers > most:
            what = f"{gpus:g} GPUs a worker" if gpus else "a core a worker"
            raise ValueError(
                f"--workers {workers}: the cluster has room for {int(most)} ({what}); ask for "
                "fewer, or for a smaller --gpus-per-worker"
            )
        place = (writer.root.absolute(), writer.out.absolute(), writer.look)
        rows = [dict(batch=pickle.dumps(_absolute(batch))) for batch in batches]
        with warnings.catch_warnings():
            # Ray names no other way to limit how often a batch is tried: the default is forever.
            warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
            results = data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS)).map_batches(
                _Worker,
                fn_constructor_args=(self.opening, writer.segmenter.identity, *place),
                batch_format="pyarrow",
                batch_size=None,
                concurrency=min(workers, len(rows)),
                num_cpus=0 if gpus else 1,
                num_gpus=gpus,
                ray_remote_args_fn=lambda: dict(max_restarts=-1, max_task_retries=TRIES - 1),
            )
        missing = {image for batch in batches for image in batch.names}
        for block in results.iter_batches(batch_format="pyarrow", batch_size=None):
            for packed in block["given"].to_pylist():
                given = pickle.loads(packed)  # noqa: S301  (our own worker's)
                if isinstance(given, _Failure):
                    raise given.error from _OfWorker(given.trace)
                written, remarks = given
                missing -= {each.image for each in written}
                yield written, remarks
        for batch in batches:
            named = ((path, image_name(path, writer.root)) for path in batch.paths)
            yield [_lost(*each, len(batch.paths)) for each in named if each[1] in missing], []


def _lost(path: Path, image: str, together: int) -> Written:
    fault = (
        f"{path}: its worker died {TRIES} times at it, or at one of the {together - 1} images "
        "beside it; the same call again tries it anew, without --engine it says more"
    )
    return Written(path, image, {}, [], fault)


def _absolute(batch: Batch) -> Batch:
    return batch._replace(paths=[path.absolute() for path in batch.paths])


class _Failure:
    """An error that ends the whole, as it comes back from a worker."""

    def __init__(self, error: Exception) -> None:
        self.error, self.trace = error, traceback.format_exc()


class _OfWorker(Exception):
    """The traceback of a worker, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.tb = trace


class _Worker:
    """What lives in the process of a worker."""

    def __init__(
        self, opening: Callable[[], Segmenter], identity: str, root: Path, out: Path, look: Look
    ) -> None:
        self.remarks: list[Remark] = []
        self.failed: _Failure | None = None
        try:
            segmenter = opening()
            if segmenter.identity != identity:
                raise ValueError(
                    "The workers find another model than this machine at the checkpoint's path; "
                    "put one file where all see it"
                )
            self.writer = BatchWriter(segmenter, root, out, look)
            self.writer.say = lambda *remark: self.remarks.append(remark)
        except FileNotFoundError as error:
            seen = FileNotFoundError(
                f"{_first_line(error)} on a worker: checkpoint, names, images and --out have to "
                "lie on a disk that all workers see, under one path"
            )
            self.failed = _Failure(seen)
        except Exception as error:
            self.failed = _Failure(error)

    def __call__(self, block: Any) -> Any:
        """Of rows of Ray Data, pickled batches, what :meth:`write` gives."""
        import pyarrow

        given = map(self.write, map(pickle.loads, block["batch"].to_pylist()))
        return pyarrow.table(dict(given=pyarrow.array(map(pickle.dumps, given), pyarrow.binary())))

    def write(self, batch: Batch) -> Any:
        """What the images gave, and remarks; or what ends the whole."""
        if self.failed:
            return self.failed
        try:
            written = list(self.writer(batch))
        except Exception as error:
            return _Failure(error)
        remarks, self.remarks[:] = list(self.remarks), []
        return written, remarks


def _knock(address: str) -> None:
    """Refuse what is no address or does not answer: Ray itself tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("it is no host:port")
    socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep from the terminal what Ray's C++ says to it of its own start."""
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, os.fdopen(os.dup(2), "wb") as before:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before.fileno(), 2)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def import_ray() -> Any:
    """Ray with its data library.

    Raises:
        ModuleNotFoundError: without it, with the command that installs it.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ModuleNotFoundError(
            "--engine ray needs Ray, which is not installed: pip install 'sgseg[scale]'"
        ) from error
    return ray
