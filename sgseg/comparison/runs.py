"""A run of a table: its identity, its folder, and whether it is finished.

::

    work_dirs/tables/mosaic-tiny-practical-3f0c.../    one config; equal rows of two tables share it
        config.py  row.json                            resolved config; what the name is the hash of
        length.json                                    epochs chosen for --minutes
        seed_0/ eval.json label_free.json guard.json epoch_N.pth result.json jobs/ ...
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config

import sgseg

from ..engine.checkpoints.newest import checkpoints
from ..io.atomic import write_atomically
from ..io.jsonfile import read_json_if_whole, write_json
from ..registry import DATASETS
from ..training.loaders import LOADERS
from .rows import Baseline

RESULT = "result.json"


@dataclass(frozen=True)
class Run:
    """One seed of one config.

    Args:
        row_folder: of the config.
        seed: of the run.
    """

    row_folder: Path
    seed: int

    def __str__(self) -> str:
        return f"{self.row_folder.name}/seed_{self.seed}"

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.row_folder / f"seed_{self.seed}"

    def result(self) -> dict[str, Any] | None:
        """Its scores; None while it is not finished.

        Finished is a result together with the evaluation and the checkpoint that it names.
        """
        result = read_json_if_whole(self.folder / RESULT)
        if result is None or "checkpoint" not in result:
            return result  # a baseline has neither
        record = read_json_if_whole(self.folder / "eval.json")
        checkpoint = self.folder / result["checkpoint"]
        whole = checkpoint.is_file() and checkpoint.stat().st_size == result["checkpoint_bytes"]
        return result if whole and record and record["epoch"] == result["epoch"] else None

    def epochs_done(self) -> int:
        """Epochs of the newest checkpoint, whether it can be read or not."""
        return max([0, *(saved.epochs for saved in checkpoints(self.folder))])

    def lock(self) -> FileLock:
        """Held by the process that works on the run; the system frees it when that one dies."""
        return FileLock(self.folder / "lock")

    def is_busy(self) -> bool:
        """Whether a process works on it."""
        try:
            with self.lock().acquire(blocking=False):
                return False
        except Timeout:
            return True


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


@cache  # fifty rows read the same data set
def _protocol(dataset: str) -> Any:
    return DATASETS.build(json.loads(dataset)).metainfo["protocol"]


def digest(content: dict[str, Any]) -> str:
    """sha256 of :func:`identity`, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        write_atomically(folder / "config.py", config.pretty_text.encode())
        write_json(folder / "row.json", known | dict(sgseg_version=sgseg.__version__))
    return folder
