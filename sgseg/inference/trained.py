"""A training in one call, and what it leaves: ``sgseg.train("my_photos", classes=5)``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from ..engine.checkpoints.newest import checkpoints
from ..io.jsonfile import read_json_if_whole
from ..training import build_config, train
from ..training.words import from_here
from .segmenter import Segmenter


class TrainedRun:
    """The folder of a finished training.

    Args:
        folder: with ``epoch_N.pth``.

    Raises:
        FileNotFoundError: for a folder without a checkpoint.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = from_here(folder)
        saved = [each for each in checkpoints(self.folder) if not each.iterations]
        if not saved:
            raise FileNotFoundError(f"{folder}: no epoch_N.pth in it; train to the end of an epoch")
        self.epochs, _, self.checkpoint = saved[0]

    @cached_property
    def segmenter(self) -> Segmenter:
        """The trained model, ready to segment: ``run.segmenter("a.jpg").save("maps")``."""
        return Segmenter(self.checkpoint)

    @property
    def pictures(self) -> list[Path]:
        """What was drawn while it trained: strips, ``clusters.png``, ``curves.png``."""
        return sorted((self.folder / "pictures").glob("*.png"))

    @property
    def scores(self) -> dict[str, Any]:
        """Of the last evaluation, as ``eval.json`` has them; empty without labels."""
        return read_json_if_whole(self.folder / "eval.json") or {}

    def __repr__(self) -> str:
        scored = f", accuracy {self.scores['accuracy']:.1f} %" if self.scores else ""
        told = f"{self.epochs} epochs{scored}, {len(self.pictures)} pictures"
        return f"TrainedRun({self.folder}: {told})"


def train_folder(
    images: str | Path,
    classes: int,
    config: str | Path = "sgseg_diffgcn_folder",
    resume: bool = False,
    **options: Any,
) -> TrainedRun:
    """Train on a folder of images.

    Args:
        images: the folder; with ``labels/`` and ``classes.txt`` beside ``images/`` it is scored.
        classes: number of clusters.
        config: file or name of a config over a folder.
        resume: go on with the last run.
        **options: of :func:`sgseg.training.build_config`, for example ``epochs=10``, ``seed=1``,
            ``work_dir="runs/a"``, ``options={"model.neck.knn": 5}``.

    Raises:
        FileNotFoundError, ValueError: as :func:`sgseg.training.build_config` and
            :func:`sgseg.training.train`.
    """
    built = build_config(config, data=images, num_classes=classes, **options)
    return TrainedRun(train(built, resume=resume).work_dir)
