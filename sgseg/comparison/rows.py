"""Tables as data: a row is a config file, what it changes, and the published number."""

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
    """One line of a table.

    Args:
        label: as the paper prints it.
        paper: data set (Table 11: kind of time) -> published number.
        config: shipped config, without ``_<data>``: this row at the paper's recipe. Where there is
            none for the data, and for the practical recipe, the main config with the overrides.
        overrides: ``a.b.c`` -> value, as on a command line. N and k are of the paper's 200 and
            20; a recipe and a preset with other numbers keep the ratio.
        stages: names of the training stages; their boundary is the recipe's.
        preset: size of this row's model; default that of the table.
        baseline: what is scored instead of a training.

    Raises:
        ValueError: for an unknown stage or baseline.
    """

    label: str
    paper: Mapping[str, float] = field(default_factory=dict)
    config: str = "sgseg_diffgcn"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] | None = None
    preset: str | None = None
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        wrong = set(self.stages or ()) - set(get_args(Stage))
        if wrong or (self.baseline is not None and self.baseline not in get_args(Baseline)):
            raise ValueError(
                f"row {self.label!r}: stages {self.stages} must be of {get_args(Stage)}, baseline "
                f"{self.baseline!r} one of {get_args(Baseline)}"
            )

    @property
    def method(self) -> str | None:
        """The method, if it is another than SGSeg: it has a recipe and sizes of its own."""
        return None if self.config.startswith("sgseg_") else self.config


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
    """Read ``configs/tables/<name>.py``, or a file of one's own that states a ``table`` like it.

    Raises:
        FileNotFoundError: for an unknown table; the message lists those there are.
        ValueError: for a row with a key that :class:`Row` has not, or two rows of one label.
    """
    own = name.endswith(".py")
    path = Path(name) if own else Path(configs, "tables", f"{name}.py")
    if not path.is_file():
        raise FileNotFoundError(
            f"{name}: no such table; choose {', '.join(table_names(configs))}, or a .py file of "
            "your own"
        )
    if own and path.stem in table_names(configs):
        raise ValueError(
            f"{path}: a table of the paper has this name, and so would its runs; rename it"
        )
    try:
        stated = Config.fromfile(str(path)).to_dict().get("table")
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    if not isinstance(stated, dict) or not {"title", "column", "rows"} <= stated.keys():
        raise ValueError(
            f"{path}: wanted is table = dict(title=..., column=..., rows=[dict(label=..., "
            "overrides={...}), ...])"
        )
    labels = [row.get("label") if isinstance(row, dict) else row for row in stated["rows"] or ()]
    if twice := sorted({str(label) for label in labels if labels.count(label) > 1}):
        raise ValueError(f"{path}: more than one row is labelled {twice[0]}")
    try:
        rows = tuple(Row(**row) for row in stated.pop("rows"))
        return Table(name=path.stem, rows=rows, **stated)
    except TypeError as error:
        raise ValueError(f"{path}: {error}; see sgseg.comparison.rows.Row for the keys") from error
