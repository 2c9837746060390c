"""The checkpoint of a training run."""

from __future__ import annotations

from pathlib import Path

from mmengine.logging import print_log

from ..engine.checkpoints.newest import newest_checkpoint


def checkpoint_of(run: str | Path) -> Path:
    """A checkpoint, or the newest whole one of a work dir (of its latest run).

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if every one is broken.
    """
    run = Path(run)
    if not run.is_dir():
        return run
    folder = run / "latest" if (run / "latest").is_dir() else run
    found = newest_checkpoint(folder, lambda sentence: print_log(sentence, "current", 30))
    if found is None:
        raise FileNotFoundError(
            f"{run}: no epoch_N.pth in it; give the work dir of a training, or a checkpoint"
        )
    return found
