"""Tables as data: rows that state what they change, and the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mmengine.config import Config

Baseline = Literal["kmeans", "untrained"]
Stage = Literal["superpixel", "segmentation", "joint"]


@dataclass(frozen=True)
class Row:
    """One line of a table. What is not stated is as in the recipe.

    Args:
        label: as the paper prints it.
        paper: data set (Table 11: kind of time) -> published number.
        config: the shipped config that this row equals at the paper's size, without ``_<data>``.
        change: overrides of ``model``; None takes a part out.
        stages: names of the training stages; their boundary is the recipe's.
        superpixels: N on the paper's scale, where COCO-Stuff has 200; a preset keeps the ratio.
        knn: k on the paper's scale, where every data set has 20; a preset keeps the ratio.
        preset: size of this row's model; default that of the table.
        method: another method, ``configs/<method>/<method>_<data>.py``; a published number only
            until there is such a config.
        baseline: what needs no training.

    Raises:
        ValueError: for an unknown stage or baseline.
    """

    label: str
    paper: Mapping[str, float] = field(default_factory=dict)
    config: str | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] | None = None
    superpixels: int | None = None
    knn: int | None = None
    preset: str | None = None
    method: str | None = None
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        wrong = set(self.stages or ()) - set(get_args(Stage))
        if wrong or (self.baseline is not None and self.baseline not in get_args(Baseline)):
            raise ValueError(
                f"row {self.label!r}: stages {self.stages} must be of {get_args(Stage)}, baseline "
                f"{self.baseline!r} one of {get_args(Baseline)}"
            )


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Args:
        name: of its file, for example ``table5``.
        title: for a person.
        column: head of the column of labels.
        rows: in the paper's order.
        timed: whether it holds times instead of accuracies.
        cost: whether the plot shows accuracy against the time of an epoch.
    """

    name: str
    title: str
    column: str
    rows: tuple[Row, ...]
    timed: bool = False
    cost: bool = False


def table_names(configs: str | Path) -> list[str]:
    """Names of the tables below a folder of configs, in the paper's order."""
    names = (path.stem for path in Path(configs, "tables").glob("*.py"))
    return sorted(names, key=lambda name: (len(name), name))


def load_table(name: str, configs: str | Path) -> Table:
    """Read ``configs/tables/<name>.py``.

    Raises:
        FileNotFoundError: for an unknown table; the message lists those there are.
        TypeError: for a row with a key that :class:`Row` has not.
    """
    path = Path(configs, "tables", f"{name}.py")
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such table; choose {', '.join(table_names(configs))}")
    stated = Config.fromfile(str(path)).to_dict()["table"]
    rows = []
    for entry in stated.pop("rows"):
        stages = entry.pop("stages", None)
        rows.append(Row(**entry, stages=None if stages is None else tuple(stages)))
    return Table(name=name, rows=tuple(rows), **stated)
