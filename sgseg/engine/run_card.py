"""``run.json``: the config, code, data and machine of a run, and how it ended."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner

import sgseg

from ..io.jsonfile import json_safe, read_json_if_whole, write_json
from .checkpoints.portable import full_name
from .hooks.memory import peak_memory_mib
from .work_dir import CARD

_PACKAGES = (
    *("torch", "mmengine", "onedl-mmengine", "mmcv-lite", "numpy", "scipy", "scikit-image"),
    *("opencv-python", "opencv-python-headless", "torch-geometric"),
)
_NOT_COMPUTED = (
    *("work_dir", "resume", "load_from", "launcher", "experiment_name", "processes"),
    *("sync_bn", "model_wrapper_cfg"),  # set by the devices there are
    "visualizer",
)
"""Keys that say where a run is, not what it computes: not part of its hash."""


def config_as_json(config: Config) -> dict[str, Any]:
    """A resolved config as plain values, classes by their full name."""
    return _plain(config.to_dict())


def config_sha256(config: Config) -> str:
    """Digest of what a config computes: equal configs in different folders have the same."""
    plain = {k: v for k, v in config_as_json(config).items() if k not in _NOT_COMPUTED}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@contextmanager
def run_card(
    runner: Runner,
    resumed_from: Path | None = None,
    batch: Mapping[str, Any] | None = None,
    agents: Sequence[str] = (),
) -> Iterator[None]:
    """Write ``run.json`` at the beginning of this block and at its end, whatever ends it.

    A killed process leaves ``"ended": "running"``. A resumed run keeps the cards of the runs it
    goes on from, without their configs, under ``before``.

    Args:
        runner: of the run.
        resumed_from: the checkpoint, if the run goes on from one.
        batch: what a step and an epoch are made of.
        agents: what started the processes (:func:`sgseg.engine.work_dir.launchers`).
    """
    if not is_main_process():
        yield
        return
    path = Path(runner.work_dir) / CARD
    start = time.monotonic()
    card = _facts(runner) | dict(
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        resumed_from=resumed_from and resumed_from.name,
        batch=batch,
        launched_by=" ".join(agents),
        before=_earlier(path) if resumed_from else [],
    )

    def write(ended: str) -> None:
        state = dict(
            ended=ended,
            epoch=runner.epoch,
            iter=runner.iter,
            wall_seconds=round(time.monotonic() - start, 1),
            peak_memory_mib=round(peak_memory_mib(), 1),
        )
        write_json(path, card | state)

    write("running")
    try:
        yield
    except BaseException as error:
        ended = f"{type(error).__name__}: {error}"
        if isinstance(error, SystemExit):
            ended = f"left on a signal, exit code {error.code}"
        write(ended)
        raise
    write("finished")


def _facts(runner: Runner) -> dict[str, Any]:
    dataset = runner.train_dataloader.dataset
    protocol = (getattr(dataset, "metainfo", None) or {}).get("protocol") or {}
    described = json.dumps(_plain(protocol), sort_keys=True).encode()
    versions = dict(python=platform.python_version())
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # one of several that give the same module
            versions[name] = version(name)
    return dict(
        code=dict(sgseg=sgseg.__version__, commit=_commit()),
        data=_plain(protocol) | dict(protocol_sha256=hashlib.sha256(described).hexdigest()),
        seed=runner.seed,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        processes=get_world_size(),
        device=device_name(),
        packages=versions,
        config_sha256=config_sha256(runner.cfg),
        config=config_as_json(runner.cfg),
    )


def device_name() -> str:
    """What a run computes on: the GPU's name, or the CPU's kind and threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"


def _commit() -> str | None:
    """The commit of a checked-out sgseg, with ``+`` if files differ; None if installed."""
    folder = Path(sgseg.__file__).parent
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _earlier(path: Path) -> list[Mapping[str, Any]]:
    card = read_json_if_whole(path)
    if card is None:
        return []
    before = card.pop("before", [])
    return [*before, {key: value for key, value in card.items() if key != "config"}]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return json_safe(value)
    return full_name(value)
