"""A run of a table: what it is known by, where it lies, and whether it is finished.

::

    work_dirs/tables/mosaic-tiny-practical-3f0c.../    one config; equal rows of two tables share it
        config.py  row.json                            resolved config; what the name is the hash of
        length.json                                    epochs chosen for --minutes
        seed_0/ eval.json label_free.json guard.json epoch_N.pth log.txt result.json ...
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

import sgseg

from ..engine.checkpoints.loading import load_checkpoint
from ..io.atomic import write_atomically
from ..registry import DATASETS
from ..training.loaders import LOADERS
from .rows import Baseline

RESULT = "result.json"
BUSY = 75
"""Exit status of a worker whose run another process is at."""


@dataclass(frozen=True)
class Run:
    """One seed of one config.

    Args:
        row_folder: of the config.
        seed: of the run.
    """

    row_folder: Path
    seed: int

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.row_folder / f"seed_{self.seed}"

    def result(self) -> dict[str, Any] | None:
        """What it found; None while it is not finished.

        Finished is a result together with the evaluation and the checkpoint that it names.
        """
        found = read_json(self.folder / RESULT)
        if found is None or "checkpoint" not in found:
            return found  # a baseline has neither
        record = read_json(self.folder / "eval.json")
        checkpoint = self.folder / found["checkpoint"]
        whole = checkpoint.is_file() and checkpoint.stat().st_size == found["checkpoint_bytes"]
        return found if whole and record and record["epoch"] == found["epoch"] else None

    def epochs_done(self) -> int:
        """Epochs behind the newest checkpoint, whole or not."""
        return max([0, *(number for number, _ in checkpoints(self.folder))])


def read_json(path: Path) -> Any:
    """The content of a JSON file; None for a missing or broken one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is whole or not there."""
    write_atomically(path, json.dumps(content, indent=1).encode())


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and file of every checkpoint, newest first."""
    named = ((path.stem.removeprefix("epoch_"), path) for path in folder.glob("epoch_*.pth"))
    return sorted(((int(n), path) for n, path in named if n.isdigit()), reverse=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that opens; a broken one is passed over."""
    for _, path in checkpoints(folder):
        try:
            load_checkpoint(path)
        except ValueError:
            continue
        return path
    return None


def identity(
    config: Config, baseline: Baseline | None = None, minutes: float | None = None
) -> dict[str, Any]:
    """What a result depends on, seed apart: the resolved config, the data's own identity.

    Where the data lie does not count, what they are does: the protocol of the training and of the
    scored set, with the hash of their items.
    """
    content = copy.deepcopy(config.to_dict())
    protocols = {}
    for name in LOADERS[:2]:
        protocols[name] = _protocol(json.dumps(content[name]["dataset"], sort_keys=True))
    for name in LOADERS:
        content[name]["dataset"].pop("root", None)
    return dict(config=content, data=protocols, baseline=baseline, minutes=minutes)


def digest(content: dict[str, Any]) -> str:
    """sha256 of :func:`identity`, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def _protocol(dataset: str) -> Any:
    return DATASETS.build(json.loads(dataset)).metainfo["protocol"]


def prepare(
    root: Path,
    prefix: str,
    config: Config,
    baseline: Baseline | None = None,
    minutes: float | None = None,
) -> Path:
    """The folder of a config, with ``config.py`` and ``row.json``; made if it is not there."""
    known = identity(config, baseline, minutes)
    folder = root / f"{prefix}-{digest(known)[:12]}"
    if not (folder / "row.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "config.py", config.pretty_text.encode())
        write_json(folder / "row.json", known | dict(sgseg_version=sgseg.__version__))
    return folder


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file while inside; the system lets go of it when the process dies.

    Args:
        path: of the lock file; holds the number of the process.
        wait: until it is free.

    Yields:
        Whether the lock is held; without ``wait`` another process may have it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield True
    finally:
        os.close(descriptor)
