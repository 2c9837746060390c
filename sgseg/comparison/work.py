"""One run of a table: train and score a model, or measure a baseline.

Everything it writes is whole or not there, so it may be killed at any moment; begun again it goes
on from the newest checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..engine.checkpoints.newest import checkpoints
from ..engine.hooks.clock import TrainingClockHook
from ..io.jsonfile import read_json, read_json_if_whole, write_json
from ..training import build_config, train
from ..training.length import set_length
from .baselines import kmeans_record, majority_of, untrained_record
from .length import chosen_epochs
from .runs import RESULT, Run

_SCORES = ("accuracy", "miou", "named_accuracy", "protocol")
"""What a result takes from the record of an evaluation."""


def work(run: Run, track: Sequence[str] = ()) -> None:
    """Finish a run and write its ``result.json``; wait for a process that is at it already.

    Args:
        run: which.
        track: trackers that it reports to, see :func:`sgseg.engine.tracking.add_trackers`.
    """
    with run.lock():
        if run.result() is not None:
            return
        row = read_json(run.row_folder / "row.json")
        place: dict[str, Any] = dict(work_dir=str(run.folder), seed=run.seed, track=track)
        config = build_config(run.row_folder / "config.py", **place)
        if row["baseline"] is None:
            result = _trained(run, config, row["minutes"])
        else:
            measure = dict(kmeans=kmeans_record, untrained=untrained_record)[row["baseline"]]
            record = measure(config)
            result = {key: record[key] for key in _SCORES}
            result["majority"] = majority_of(record)
        write_json(run.folder / RESULT, result | dict(seed=run.seed))


def _trained(run: Run, config: Config, minutes: float | None) -> dict[str, Any]:
    """The scores of a run, trained to its end."""
    untrained = read_json_if_whole(run.folder / "untrained.json")
    if untrained is None:
        untrained = untrained_record(config)["accuracy"]
        write_json(run.folder / "untrained.json", untrained)
    if minutes:
        set_length(config, chosen_epochs(run.row_folder, config, minutes))
    # The folder is this run's own, so it goes on in it even where nothing is left to go on from.
    runner = train(config, resume=True)
    record = read_json(run.folder / "eval.json")
    last = checkpoints(run.folder)[0]
    clock = next(hook for hook in runner.hooks if isinstance(hook, TrainingClockHook))
    guard = read_json_if_whole(run.folder / "guard.json") or []
    return dict(
        epoch=last.epochs,
        max_epochs=config.train_cfg.max_epochs,
        checkpoint=last.path.name,
        checkpoint_bytes=last.path.stat().st_size,
        best=record["best"],
        untrained=untrained,
        majority=majority_of(record),
        training_seconds=clock.seconds,
        minutes=minutes,
        collapsed=sorted({warning["kind"] for warning in guard if warning.get("over") is None}),
        epochs=epoch_records(run.folder),
        **{key: record[key] for key in _SCORES},
    )


def epoch_records(folder: Path) -> list[dict[str, Any]]:
    """Accuracy and label-free scores of every epoch that has any, oldest first.

    An epoch that was trained twice, before and after a restart, counts as the last time.
    """
    records: dict[int, dict[str, Any]] = {}
    path = folder / "eval_history.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off by a kill; the epoch was repeated
        records.setdefault(record["epoch"], {}).update(record)
    for record in (read_json_if_whole(folder / "label_free.json") or dict(epochs=[]))["epochs"]:
        records.setdefault(record["epoch"], {}).update(record)
    return [records[epoch] for epoch in sorted(records)]
