"""Names of a model's clusters, from the class table of an evaluation of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engine.checkpoints.loading import is_of_its_weights
from ..io.digest import weights_sha256
from ..io.jsonfile import read_json
from ..ops.matching import IGNORE

NO_TABLE = (
    "{0}: no class table for these weights, so clusters keep their numbers (cluster_0 ...): the "
    "run was saved between two evaluations. For names run sgseg test {0} and give the eval.json "
    "that it writes (--evaluation)"
)


class ClassTable(NamedTuple):
    """Value of each cluster in the label maps, and the name of each value."""

    mapping: npt.NDArray[np.uint8]
    classes: list[str]
    named: bool
    """Whether an evaluation of these weights gave it."""


def class_table(
    saved: Mapping[str, Any],
    clusters: int,
    evaluation: str | Path | None = None,
) -> ClassTable:
    """The table of a checkpoint; clusters as they are, where it has none of its own weights.

    Args:
        saved: a loaded checkpoint.
        clusters: K.
        evaluation: ``eval.json`` that ``sgseg test`` wrote of these weights.

    Raises:
        ValueError: for more clusters than label maps have values, or an evaluation of other
            weights.
    """
    if clusters > IGNORE:
        raise ValueError(
            f"{clusters} clusters: a label map holds one byte a pixel, {IGNORE} of them and a "
            "value for no data; train with fewer"
        )
    record = _own_record(saved) if evaluation is None else _read_record(saved, evaluation)
    if record is None or len(record.get("mapping") or ()) != clusters:
        plain = [f"cluster_{number}" for number in range(clusters)]
        return ClassTable(np.arange(clusters, dtype=np.uint8), plain, False)
    names = [entry["name"] for entry in record["per_class"]]
    table = np.empty(clusters, np.uint8)
    for cluster, matched in enumerate(record["mapping"]):
        if matched < 0:  # more clusters than classes: it keeps a value of its own
            names.append(f"cluster_{cluster}")
            matched = len(names) - 1
        table[cluster] = matched
    return ClassTable(table, names, True)


def _own_record(saved: Mapping[str, Any]) -> Mapping[str, Any] | None:
    meta = saved.get("meta") or {}
    record = meta.get("evaluation")
    return record if record and is_of_its_weights(record, meta) else None


def _read_record(saved: Mapping[str, Any], path: str | Path) -> Mapping[str, Any]:
    record = read_json(path)
    if not isinstance(record, Mapping) or not {"mapping", "per_class"} <= record.keys():
        raise ValueError(f"{path}: no evaluation; wanted is the eval.json of sgseg test")
    own = _own_record(saved)
    if own and all(own.get(key) == record.get(key) for key in ("iter", "mapping", "per_class")):
        return own  # the run's own eval.json, written while it trained
    if record.get("weights_sha256") != weights_sha256(saved["state_dict"]):
        raise ValueError(
            f"{path}: not of these weights, so its names would stand at other clusters; run "
            "sgseg test on this checkpoint"
        )
    return record
