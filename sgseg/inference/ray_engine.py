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
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..io.progress import usable_cores
from ..io.remote import Place
from ..io.signals import held_back
from .batches import Batch, BatchWriter, Remark, Written
from .outputs import Look
from .segmenter import Segmenter
from .sources import image_name
from .strips import Strip, strips, write_strip

ROUND = 10_000
"""Batches that are handed to Ray at once."""
BLOCKS = 2_000
"""Pieces that these come in, of which each is done again as a whole."""
TRIES = 3
"""How often a batch is begun whose worker died of it."""
Task = Batch | Strip
_NODE = ("raylet", "gcs_server")
"""Names of Ray's processes without which nothing goes on."""
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
        self._over = threading.Event()

    def __call__(self, writer: BatchWriter, batches: Iterable[Batch]) -> Iterator[Written]:
        """See :class:`.Engine`."""
        ray = import_ray()
        try:
            self._connect(ray)
            batches = iter(batches)
            while part := list(islice(batches, ROUND)):
                for written, remarks in self._round(ray, writer, part):
                    for remark in remarks:
                        writer.say_once(*remark)
                    yield from written
        finally:
            self._over.set()
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        common = dict(log_to_driver=False, logging_level=logging.ERROR)
        with held_back(), _unheard():
            if self.address is None:
                self._start(ray, common)
                return
            try:
                _knock(self.address)
            except (OSError, ValueError) as error:
                raise ConnectionError(
                    f"--address {self.address}: no Ray cluster answers there "
                    f"({_first_line(error)}); `ray status` on its head says the address, or leave "
                    "--address out to use this machine"
                ) from error
            try:
                ray.init(address=self.address, **common)
            except (OSError, RuntimeError, ValueError) as error:
                raise ConnectionError(
                    f"--address {self.address}: Ray cannot join the cluster there "
                    f"({_first_line(error)}); where `ray start` spoke of token authentication, set "
                    "RAY_AUTH_MODE=token; the versions of Ray have to be the same"
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
                self._over = _watch_node()
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
        """Strips of large rasters and all other batches, then the rasters of these strips."""
        batches = [_absolute(batch) for batch in batches]
        cut = [_strips(writer.segmenter, batch) for batch in batches]
        parts: list[Task] = [strip for each in cut for strip in each]
        parts += [batch for batch, each in zip(batches, cut, strict=True) if not each]
        faults: dict[str, str] = {}
        for task, given in self._done(ray, writer, parts):
            if isinstance(task, Batch):
                yield given or (_lost(task, writer.root), [])
            elif given != "":
                faults[task.name] = given or _death(task.path, 0)
        rasters: list[Task] = []
        for batch, each in zip(batches, cut, strict=True):
            if each and each[0].name in faults:
                (image,) = batch.names
                yield [Written(batch.places[0], image, {}, [], faults[each[0].name])], []
            elif each:
                rasters.append(batch._replace(strips=tuple(each)))
        for task, given in self._done(ray, writer, rasters):
            assert isinstance(task, Batch)
            yield given or (_lost(task, writer.root), [])

    def _done(self, ray: Any, writer: BatchWriter, tasks: list[Task]) -> Iterator[tuple[Task, Any]]:
        """What each task gave, in any order; last and with None those that killed their workers."""
        import ray.data as data

        if not tasks:
            return
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what is missing in the end is listed
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        workers, gpus = self._places(ray)
        root = writer.root.absolute() if isinstance(writer.root, Path) else writer.root
        place = (root, writer.out.absolute(), writer.look)
        rows = [dict(number=n, task=pickle.dumps(task)) for n, task in enumerate(tasks)]
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
        missing = set(range(len(tasks)))
        for block in results.iter_batches(batch_format="pyarrow", batch_size=None):
            for row in block.to_pylist():
                given = pickle.loads(row["given"])  # noqa: S301  (our own worker's)
                if isinstance(given, _Failure):
                    raise given.error from _OfWorker(given.trace)
                missing.discard(row["number"])
                yield tasks[row["number"]], given
        for number in sorted(missing):
            yield tasks[number], None

    def _places(self, ray: Any) -> tuple[int, float]:
        """Workers, and GPUs of each, that the cluster has room for."""
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
        return workers, gpus


def _strips(segmenter: Segmenter, batch: Batch) -> list[Strip]:
    """Of a batch that is one large raster which is missing; else none."""
    if len(batch.places) > 1 or not isinstance(batch.places[0], Path):
        return []
    (name,) = batch.names.values()
    return strips(segmenter, batch.places[0], name)


def _lost(batch: Batch, root: Path | str) -> list[Written]:
    """The images of a batch whose worker died of it each time."""
    named = ((place, image_name(place, root)) for place in batch.places)
    others = len(batch.places) - 1
    return [
        Written(place, image, {}, [], _death(place, others))
        for place, image in named
        if image in batch.names
    ]


def _death(place: Place, others: int) -> str:
    beside = f", or at one of the {others} images beside it" if others else ""
    return (
        f"{place}: its worker died {TRIES} times at it{beside}; the same call again tries it "
        "anew, without --engine it says more"
    )


def _absolute(batch: Batch) -> Batch:
    places = [p.absolute() if isinstance(p, Path) else p for p in batch.places]
    return batch._replace(places=places)


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
        self,
        opening: Callable[[], Segmenter],
        identity: str,
        root: Path | str,
        out: Path,
        look: Look,
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
        """Of rows of Ray Data, pickled tasks, what :meth:`do` gives."""
        import pyarrow

        given = map(self.do, map(pickle.loads, block["task"].to_pylist()))
        packed = pyarrow.array(map(pickle.dumps, given), pyarrow.binary())
        return pyarrow.table(dict(number=block["number"], given=packed))

    def do(self, task: Task) -> Any:
        """What the images gave, and remarks; of a strip its fault; or what ends the whole."""
        if self.failed:
            return self.failed
        try:
            if isinstance(task, Strip):
                return self._strip(task)
            written = list(self.writer(task))
        except Exception as error:
            return _Failure(error)
        remarks, self.remarks[:] = list(self.remarks), []
        return written, remarks

    def _strip(self, strip: Strip) -> str:
        try:
            write_strip(self.writer.segmenter, self.writer.out, strip)
        except ValueError as error:
            return " ".join(str(error).split())
        return ""


def _knock(address: str) -> None:
    """Refuse what is no address or does not answer: Ray itself tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("it is no host:port")
    socket.create_connection((host, int(port)), timeout=10).close()


def _watch_node() -> threading.Event:
    """End this process when one of Ray's own on this machine dies, until the event is set.

    Ray itself would end it: up to a minute later, without a word, and leaving workers behind.
    """
    import psutil

    over = threading.Event()
    started = psutil.Process().children(recursive=True)
    node = [process for process in started if process.name() in _NODE]

    def watch() -> None:
        while not over.wait(1):
            if dead := next((each for each in node if not _is_alive(each)), None):
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        process.kill()
                shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, below the bar
                said = f"Error: Ray's process {names[dead]} died (killed, or without memory). "
                said += "What is done is kept; the same call goes on"
                print(f"{shown}\n{said}", file=sys.stderr, flush=True)
                os._exit(1)

    names = {process: process.name() for process in node}
    threading.Thread(target=watch, daemon=True).start()
    return over


def _is_alive(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


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
    # Ray says of each task that it does it again; what comes of it is said in the end.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # those of its own statistics
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ModuleNotFoundError(
            "--engine ray needs Ray, which is not installed: pip install 'sgseg[scale]'"
        ) from error
    return ray
