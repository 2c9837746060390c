"""The checkpoints of a run: which there are, which one to go on from, and those inside an epoch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from ...io.atomic import write_atomically
from ..distributed import saving_together
from .loading import load_checkpoint

POINTER = "last_checkpoint"
"""The file in which mmengine keeps the name of the newest checkpoint."""
_NAME = re.compile(r"epoch_(\d+)(?:_iter_(\d+))?\.pth")


class Saved(NamedTuple):
    """A checkpoint as its name describes it; sorts in the order of training."""

    epochs: int
    """Whole epochs before it."""
    iterations: int
    """Steps before it where it was saved inside an epoch, else 0."""
    path: Path


def checkpoints(folder: Path) -> list[Saved]:
    """``epoch_E.pth`` and ``epoch_E_iter_I.pth`` of a run, the newest first."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.glob("epoch_*.pth"))
    saved = (Saved(int(name[1]), int(name[2] or 0), path) for name, path in named if name)
    return sorted(saved, reverse=True)


def save_between(runner: Runner, keep: int = 2, evaluation_due: bool = False) -> None:
    """Save ``epoch_E_iter_I.pth``: after I iterations, E epochs of them whole.

    Args:
        runner: of every process, after an optimiser step; in an evaluation with
            ``evaluation_due``, and the resumed run then begins with that evaluation.
        keep: so many of these files stay; the others go when this one is whole.
    """
    with saving_together(runner):
        if not is_main_process():
            return
        if evaluation_due:
            epochs, meta = runner.epoch - 1, dict(iter=runner.iter, evaluation_due=True)
        else:
            epochs, meta = runner.epoch, dict(iter=runner.iter + 1, inside_epoch=True)
        path = Path(runner.work_dir) / f"epoch_{epochs}_iter_{meta['iter']}.pth"
        runner.save_checkpoint(
            str(path.parent),
            path.name,
            meta=dict(meta, epoch=runner.epoch),
            by_epoch=False,
            backend_args=dict(backend="sgseg_atomic"),
        )
        write_atomically(path.parent / POINTER, str(path).encode())
        remove_between(path.parent, keep)


def remove_between(folder: Path, keep: int = 0) -> None:
    """Delete all but the newest ``keep`` of the files that :func:`save_between` wrote."""
    for saved in [saved for saved in checkpoints(folder) if saved.iterations][keep:]:
        saved.path.unlink(missing_ok=True)


def newest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint of a run that is whole; None if there is none at all.

    Where ``last_checkpoint`` names a file, newer ones are of another run in the same folder.

    Args:
        folder: work dir of the run.
        say: called with a sentence for each broken file that is passed over.

    Raises:
        ValueError: if there are checkpoints, and every one is broken.
    """
    paths = [saved.path for saved in checkpoints(folder)]
    pointer = folder / POINTER
    named = folder / Path(pointer.read_text()).name if pointer.is_file() else None
    if named in paths:
        paths = paths[paths.index(named) :]
    for path in paths:
        try:
            load_checkpoint(path)
        except ValueError as error:
            say(f"{error}. Taken is the one before it, if there is one")
        else:
            return path
    if paths:
        raise ValueError(
            f"{folder}: none of its checkpoints can be read: {', '.join(p.name for p in paths)}. "
            "Copy a whole checkpoint there, or train anew"
        )
    return None


def checkpoint_of(run: str | Path) -> Path:
    """A checkpoint, or the newest whole one of a work dir (of its latest run).

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if every one is broken.
    """
    run = Path(run)
    if not run.is_dir():
        return run
    folder = run / "latest" if checkpoints(run / "latest") else run
    found = newest_checkpoint(folder, lambda sentence: print_log(sentence, "current", 30))
    if found is None:
        raise FileNotFoundError(
            f"{run}: no epoch_N.pth in it; give the work dir of a training, or a checkpoint"
        )
    return found


def sweep_parts(folder: Path) -> None:
    """Delete what a killed run left of the files it was writing."""
    for path in folder.glob("*.part"):
        path.unlink(missing_ok=True)
