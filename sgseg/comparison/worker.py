"""The process behind one run of a table: ``python -m sgseg.comparison.worker ROW_FOLDER SEED``.

Everything it writes is whole or not there, so it may be killed at any moment; started again it
goes on from the newest checkpoint. It ends when its parent does, which it notices by the closing
of its standard input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..engine.hooks.clock import TrainingClockHook
from ..engine.hooks.evaluation_record import json_safe
from ..training import build_config, train
from ..training.length import set_length
from .baselines import kmeans_record, majority_of, untrained_record
from .length import chosen_epochs
from .runs import (
    BUSY,
    RESULT,
    Run,
    checkpoints,
    locked,
    newest_checkpoint,
    read_json,
    write_json,
)


def work(run: Run) -> int:
    """Finish a run; 0 when it is, :data:`BUSY` if another process is at it."""
    with locked(run.folder / "lock") as held:
        if not held:
            return BUSY
        if run.result() is not None:
            return 0
        for part in run.folder.glob("*.part"):
            part.unlink()  # of a process that was killed
        row = json.loads((run.row_folder / "row.json").read_text(encoding="utf-8"))
        config = build_config(run.row_folder / "config.py", work_dir=str(run.folder), seed=run.seed)
        found = _baseline(config, row) if row["baseline"] else _trained(run, config, row)
        write_json(run.folder / RESULT, json_safe(found | dict(seed=run.seed)))
    return 0


def _baseline(config: Config, row: dict[str, Any]) -> dict[str, Any]:
    measure = dict(kmeans=kmeans_record, untrained=untrained_record)[row["baseline"]]
    record = measure(config)
    keys = ("accuracy", "miou", "protocol")
    return {key: record[key] for key in keys} | dict(majority=majority_of(record))


def _trained(run: Run, config: Config, row: dict[str, Any]) -> dict[str, Any]:
    untrained = read_json(run.folder / "untrained.json")
    if untrained is None:
        untrained = untrained_record(config)["accuracy"]
        write_json(run.folder / "untrained.json", untrained)
    if row["minutes"]:
        set_length(config, chosen_epochs(run.row_folder, config, row["minutes"]))
    newest = newest_checkpoint(run.folder)
    config.load_from = newest and str(newest)
    if newest is None:
        for path in run.folder.glob("epoch_*.pth"):
            path.unlink()  # broken, or of an epoch that is begun anew
    # The folder is this run's own, so it goes on in it even where nothing is left to go on from.
    runner = train(config, resume=True)
    record = json.loads((run.folder / "eval.json").read_text(encoding="utf-8"))
    epoch, checkpoint = checkpoints(run.folder)[0]
    clock = next(hook for hook in runner.hooks if isinstance(hook, TrainingClockHook))
    return dict(
        epoch=epoch,
        max_epochs=config.train_cfg.max_epochs,
        checkpoint=checkpoint.name,
        checkpoint_bytes=checkpoint.stat().st_size,
        accuracy=record["accuracy"],
        miou=record["miou"],
        best=record["best"],
        untrained=untrained,
        majority=majority_of(record),
        training_seconds=clock.seconds,
        minutes=row["minutes"],
        collapsed=sorted({w["kind"] for w in read_json(run.folder / "guard.json") or []}),
        epochs=epoch_records(run.folder),
        protocol=record["protocol"],
    )


def epoch_records(folder: Path) -> list[dict[str, Any]]:
    """Accuracy and label-free scores of every epoch that has any, oldest first.

    An epoch that was trained twice, before and after a restart, counts as the last time.
    """
    found: dict[int, dict[str, Any]] = {}
    path = folder / "eval_history.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off by a kill; the epoch was repeated
        found.setdefault(record["epoch"], {}).update(record)
    for record in (read_json(folder / "label_free.json") or dict(epochs=[]))["epochs"]:
        found.setdefault(record["epoch"], {}).update(record)
    return [found[epoch] for epoch in sorted(found)]


def _end_with_parent() -> None:
    # Nothing is ever sent: it returns when the parent is gone. Unbuffered, for a buffer's lock
    # would be held at exit.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Parse the two arguments and work."""
    folder, seed = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(work(Run(Path(folder), int(seed))))


if __name__ == "__main__":
    main()
