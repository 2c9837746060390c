"""Checkpoints between two epochs' ends, and which checkpoint a run goes on from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ...io.atomic import write_atomically
from ..distributed import saving_together
from .loading import load_checkpoint

POINTER = "last_checkpoint"
"""The file in which mmengine keeps the name of the newest checkpoint."""
_NAME = re.compile(r"epoch_(\d+)(?:_iter_(\d+))?\.pth")


def _place(path: Path) -> tuple[int, int] | None:
    """(epochs, iterations) in a checkpoint's name, in the order of training; else None."""
    found = _NAME.fullmatch(path.name)
    return (int(found[1]), int(found[2] or 0)) if found else None


def save_between(runner: Runner, keep: int = 2, evaluation_due: bool = False) -> None:
    """Save ``epoch_E_iter_I.pth``: after I iterations, E epochs of them whole.

    Args:
        runner: of every process, behind an optimiser step; in an evaluation with
            ``evaluation_due``, and the resumed run then begins with that evaluation.
        keep: so many of these files stay; the others go when this one is whole.
    """
    with saving_together(runner):
        if is_main_process():
            _save_between(runner, keep, evaluation_due)


def _save_between(runner: Runner, keep: int, evaluation_due: bool) -> None:
    if evaluation_due:
        meta = dict(epoch=runner.epoch, iter=runner.iter, evaluation_due=True)
        path = Path(runner.work_dir) / f"epoch_{runner.epoch - 1}_iter_{runner.iter}.pth"
    else:
        meta = dict(epoch=runner.epoch, iter=runner.iter + 1, inside_epoch=True)
        path = Path(runner.work_dir) / f"epoch_{runner.epoch}_iter_{runner.iter + 1}.pth"
    runner.save_checkpoint(
        str(path.parent), path.name, meta=meta, by_epoch=False, backend_args=_atomic()
    )
    write_atomically(path.parent / POINTER, str(path).encode())
    remove_between(path.parent, keep)


def remove_between(folder: Path, keep: int = 0) -> None:
    """Delete all but the newest ``keep`` of the files that :func:`save_between` wrote."""
    for path in [p for p in _in_order(folder) if "_iter_" in p.name][keep:]:
        path.unlink(missing_ok=True)


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint of a run that is whole; None if there is none at all.

    Where ``last_checkpoint`` names a file, newer ones are of another run in the same folder.

    Args:
        folder: work dir of the run.
        say: called with a sentence for each broken file that is passed over.

    Raises:
        ValueError: if there are checkpoints, and every one is broken.
    """
    paths = _in_order(folder)
    pointer = folder / POINTER
    named = folder / Path(pointer.read_text()).name if pointer.is_file() else None
    if named in paths:
        paths = paths[paths.index(named) :]
    for path in paths:
        try:
            load_checkpoint(path)
        except ValueError as error:
            say(f"{error}. Going on from the one before it")
        else:
            return path
    if paths:
        raise ValueError(
            f"{folder}: none of its checkpoints can be read: {', '.join(p.name for p in paths)}. "
            "Start anew without --resume, or copy a whole checkpoint there"
        )
    return None


def sweep_parts(folder: Path) -> None:
    """Delete what a killed run left of the files it was writing."""
    for path in folder.glob("*.part"):
        path.unlink(missing_ok=True)


def _in_order(folder: Path) -> list[Path]:
    """Checkpoints of a folder, the newest first."""
    placed = [(place, path) for path in folder.glob("epoch_*.pth") if (place := _place(path))]
    return [path for _, path in sorted(placed, reverse=True)]


def _atomic() -> dict[str, str]:
    return dict(backend="sgseg_atomic")
