"""Arguments that several commands share, stated once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from .options import OptionsAction


class UsageError(Exception):
    """Arguments that do not go together; the command ends with 2 and its usage."""


SHARED: dict[str, dict[str, Any]] = {
    "config": dict(help="config file, or the name of one (sgseg config --list)"),
    "--amp": dict(action="store_true", help="train in half precision"),
    "--bands": dict(type=int, help="of the images of a folder; default 3"),
    "--cfg-options": dict(nargs="+", action=OptionsAction, help="a.b.c=value ..."),
    "--data": dict(help="root folder of the data: images/, optionally labels/ and classes.txt"),
    "--evaluation": dict(metavar="FILE", help="eval.json of sgseg test: names of the classes"),
    "--label-map": dict(help="FILE.json#KEY: raw labels to classes"),
    "--launcher": dict(default="none", choices=["none", "pytorch", "slurm", "mpi"]),
    "--names": dict(metavar="FILE", help="classes.json with names of your own"),
    "--num-classes": dict(type=int, help="number of clusters K"),
    "--preset": dict(help="sizes of the model: paper, small, tiny, or a file"),
    "--shares": dict(
        nargs="+", type=float, help="rough part of the pixels of each cluster: 0.65 0.2 0.15"
    ),
    "--size": dict(type=int, help="shorter side of the images in pixels; default the config's"),
    "--track": dict(
        nargs="+", default=(), metavar="TRACKER", help="also to tensorboard, wandb, mlflow"
    ),
    "--value-range": dict(
        nargs=2, type=float, metavar=("LOW", "HIGH"), help="samples that are 0 and 1"
    ),
    "--verbose": dict(action="store_true", help="show the whole log, not its file alone"),
    "--workers": dict(type=int, help="processes; default all cores"),
}
"""Name -> what ``add_argument`` is told of it."""


def add_shared(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a command some of the :data:`SHARED` arguments."""
    for name in names:
        parser.add_argument(name, **SHARED[name])
    if "--launcher" in names:  # torch.distributed.launch says it this way
        parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def config_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of a command that :func:`sgseg.training.build_config` takes, by its names."""
    names = {
        *("data", "num_classes", "label_map", "bands", "value_range", "epochs", "work_dir"),
        *("seed", "amp", "deterministic", "launcher", "preset", "shares", "size", "track"),
    }
    taken = {name: value for name, value in vars(args).items() if name in names}
    return taken | dict(options=args.cfg_options) if "cfg_options" in args else taken


def config_and(paths: Sequence[str], count: int, wanted: str) -> list[Any]:
    """A config that may be left out, None then, and ``count`` paths that may not.

    Raises:
        UsageError: for another number of paths; it says what is ``wanted``.
    """
    if len(paths) - count not in (0, 1):
        raise UsageError(f"got {len(paths)} paths, wanted are {wanted}")
    return [*[None] * (count + 1 - len(paths)), *paths]


def usable_workers(given: int | None) -> int:
    """The number of processes that ``--workers`` asks for; default one a core."""
    from ..io.progress import usable_cores

    return usable_cores() if given is None else given


def with_plain_warnings(
    run: Callable[[argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    """Let a command print warnings as sentences, without the time and name of a log's line."""

    @wraps(run)
    def plain(args: argparse.Namespace) -> None:
        from ..engine.console import RunConsole

        with RunConsole():
            run(args)

    return plain
