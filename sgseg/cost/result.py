"""The result of a benchmark: a table for a person, and JSON."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

import sgseg

from ..engine.run_card import device_name
from ..io.jsonfile import write_json
from ..io.progress import usable_cores


class Row(NamedTuple):
    """One way of doing the thing; ``values`` are numbers by column."""

    name: str
    values: Mapping[str, float]


OF_TIMES = 1.5
"""Two runs of the same code, days apart, gave ratios 1.4 times apart (DGCNN)."""


class Goal(NamedTuple):
    """A figure to reach: a ratio within one run or a count, which hold on other machines too."""

    name: str
    value: float
    relation: Literal[">=", "<="]
    wanted: float
    spread: float = 1.15
    """This many times worse than recorded is a regression; :data:`OF_TIMES` for ratios of times."""

    @property
    def reached(self) -> bool:
        """Whether the value is on the right side of what is wanted."""
        return self.value >= self.wanted if self.relation == ">=" else self.value <= self.wanted


@dataclass
class Result:
    """Rows measured in one run, so that their ratios mean something, single figures, and goals."""

    title: str
    rows: list[Row]
    figures: dict[str, float | str] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Everything, with the machine it was measured on, as plain values."""
        return dict(
            title=self.title,
            rows=[dict(name=row.name, **row.values) for row in self.rows],
            figures=self.figures,
            goals=[goal._asdict() for goal in self.goals],
            machine=machine(),
        )

    def write(self, path: str | Path) -> None:
        """Write :meth:`content` as JSON."""
        write_json(path, self.content())

    def text(self) -> str:
        """A table, and the figures below it."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row.values))
        width = max([len(row.name) for row in self.rows], default=0) + 2
        lines = [self.title, " " * width + "".join(f"{column:>16}" for column in columns)]
        for row in self.rows:
            cells = [f"{row.values[c]:16.4g}" if c in row.values else " " * 16 for c in columns]
            lines.append(f"{row.name:<{width}}" + "".join(cells))
        lines += [f"{name}: {_short(value)}" for name, value in self.figures.items()]
        for goal in self.goals:
            verdict = "reached" if goal.reached else "missed"
            wanted = f"{goal.relation} {goal.wanted:g}"
            lines.append(f"{goal.name}: {goal.value:.4g}, wanted {wanted}: {verdict}")
        return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    return dict(
        device=device_name(),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        sgseg=sgseg.__version__,
    )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
