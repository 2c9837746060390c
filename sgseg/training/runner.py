"""mmengine's runner, with data sets that are built before it and a log that begins with the run.

Data that are missing are missed before anything is written.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..engine.checkpoints.newest import newest_checkpoint, sweep_parts
from ..engine.console import RunConsole
from ..engine.distributed import failing_together
from ..engine.work_dir import Place, beside_config
from ..registry import DATASETS
from .loaders import settle_workers


def build_datasets(config: Config, loaders: Sequence[str]) -> dict[str, Any]:
    """The data sets of those loaders that the config has: what is missing is missed first."""
    named = {name: config.get(name) for name in loaders}
    return {name: DATASETS.build(loader.dataset) for name, loader in named.items() if loader}


def reuse_datasets(runner: Runner, datasets: Mapping[str, Any]) -> None:
    """Let the runner's loaders take data sets that are built."""
    for name, dataset in datasets.items():
        # A function, for mmengine copies what it builds from, and a copy shares no memory.
        getattr(runner, f"_{name}")["dataset"] = dict(type=lambda dataset=dataset: dataset)


def build_runner(
    config: Config,
    place: Place,
    console: RunConsole,
    lines: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Runner:
    """mmengine's runner under a name of its own, with a log that begins with ``lines``.

    It names runs by config and second; two in one second would share a log and a best score.
    """

    class SpeakingRunner(Runner):
        def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
            logger = super().build_logger(*args, **kwargs)
            console.quieten(logger)
            for line in lines:
                logger.info(line)
            for line in warnings:
                logger.warning(line)
            console.hand_over(logger)
            return logger

        def load_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
            with redirect_stdout(StringIO()):  # mmengine prints a path that the log has too
                return super().load_checkpoint(*args, **kwargs)

        def dump_config(self) -> None:
            path = Path(self.work_dir, Path(self.cfg.filename or "").name)
            if path.is_file() and path.samefile(self.cfg.filename):
                self.cfg.dump(beside_config(path))  # it was read from here: it is a person's
            else:
                super().dump_config()

    if (config.get("randomness") or {}).get("deterministic"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch demands it on GPUs
    stem = config.get("experiment_name") or Path(config.filename or "run").stem
    named = copy.deepcopy(config)
    settle_workers(named)
    named.merge_from_dict(
        dict(
            experiment_name=f"{stem}_{uuid4().hex[:8]}",
            work_dir=str(place.folder),
            resume=False,  # decided apart
        )
    )
    return SpeakingRunner.from_cfg(named)


def starting_point(runner: Runner, resume: bool) -> Path | None:
    """Tell the runner where to begin; returns the checkpoint it goes on from.

    It is the one that the main process would go on from: a folder that is another on each machine,
    or lags, would begin them apart.
    """
    folder = Path(runner.work_dir)
    if is_main_process():
        sweep_parts(folder)
    if not resume:
        return None
    start: list[Path | None] = [Path(runner._load_from) if runner._load_from else None]
    if start[0] is None:
        with failing_together():
            if is_main_process():
                start = [newest_checkpoint(folder, runner.logger.warning)]
        broadcast_object_list(start)
    if start[0] is None:
        runner.logger.info(f"{folder} holds no checkpoint to go on from: training starts anew")
        return None
    runner._load_from, runner._resume = str(start[0]), True
    return start[0]
