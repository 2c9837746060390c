"""A table beside the paper's: Markdown, CSV and a plot."""

from __future__ import annotations

import csv
import io
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..io.atomic import write_atomically
from ..visualization.plots import plot_cost, plot_table
from .headroom_report import demand_same_images, gain_of, in_a_sentence
from .protocol import in_words, one_protocol
from .rows import Row, Table
from .runs import Run
from .words import grid, spread

Cell = Callable[[Mapping[str, Any]], str]
SELECT_BY = "mutual_information"
"""The label-free score whose best epoch the table shows."""


@dataclass(frozen=True)
class Entry:
    """One line of a reproduced table.

    Args:
        row: of the paper's table.
        recipe: of the runs, or the method's name.
        paper: the published number on this data set, if there is one.
        elsewhere: the published number on COCO-Stuff, for the order of the rows.
        size: N and k, as they are at this preset.
        runs: one a seed; none for a method that is not in this toolkit yet.
        named: clusters a class -> such runs with so many times the clusters, to be named.
        block: the row's graph block, and whether its nodes know their place; for the headroom.
        left_out: whether the row was not asked for.
    """

    row: Row
    recipe: str
    paper: float | None
    elsewhere: float | None = None
    size: str = ""
    runs: tuple[Run, ...] = ()
    named: Mapping[int, tuple[Run, ...]] = field(default_factory=dict)
    block: tuple[str, bool] | None = None
    left_out: bool = False

    def results(self) -> list[dict[str, Any]]:
        """Results of the finished runs."""
        return _results(self.runs)

    def all_runs(self) -> tuple[Run, ...]:
        """The runs, and those with more clusters."""
        return (*self.runs, *(run for runs in self.named.values() for run in runs))

    def scored(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and protocol of every score, the clusters of :attr:`named` counted a class."""
        found = []
        for factor, runs in ({1: self.runs} | dict(self.named)).items():
            for result in _results(runs):
                name = f"{self.row.label} ({self.recipe}, seed {result['seed']}"
                name += f", {factor} clusters a class)" if factor > 1 else ")"
                protocol = result["protocol"]
                clusters = protocol["clusters"] if factor == 1 else protocol["clusters"] // factor
                found.append((name, protocol | dict(clusters=clusters)))
        return found


def _results(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [result for run in runs if (result := run.result()) is not None]


def _named(results: Sequence[Mapping[str, Any]]) -> list[float]:
    """Accuracies after naming; runs of an earlier version, and of one image, have none."""
    return [value for result in results if (value := result.get("named_accuracy")) is not None]


def selected_without_labels(result: Mapping[str, Any], score: str = SELECT_BY) -> float | None:
    """Accuracy of the evaluated epoch whose label-free score is highest; None without both."""
    both = [e for e in result.get("epochs", ()) if "accuracy" in e and score in e]
    return max(both, key=lambda epoch: epoch[score])["accuracy"] if both else None


def line_of(entry: Entry, headroom: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The numbers of a line, from the finished runs; lists hold one value a seed.

    Args:
        entry: the line.
        headroom: what graph blocks gain on the same images with labels, as ``headroom.json``.
    """
    results = entry.results()
    trained = [result for result in results if "epochs" in result]
    last = [result["accuracy"] for result in results]
    shown = statistics.mean(last) if last else None
    return dict(
        label=entry.row.label,
        size=entry.size,
        recipe=entry.recipe,
        paper=entry.paper,
        paper_coco15=entry.elsewhere,
        last=last,
        gap=None if shown is None or entry.paper is None else shown - entry.paper,
        best=[result["best"]["accuracy"] for result in trained],
        label_free=[v for r in trained if (v := selected_without_labels(r)) is not None],
        untrained=[result["untrained"] for result in trained],
        majority=results[0]["majority"] if results else None,
        miou=[result["miou"] for result in results],
        named=_named(results),
        **{f"named_{factor}k": _named(_results(runs)) for factor, runs in entry.named.items()},
        headroom=gain_of(headroom, entry.block) if headroom and entry.block else [],
        epochs=sorted({result["epoch"] for result in trained}),
        minutes=[result["training_seconds"] / 60 for result in trained],
        epoch_seconds=[result["training_seconds"] / result["epoch"] for result in trained],
        notes=_notes(entry, results),
    )


def write_report(
    table: Table,
    entries: Sequence[Entry],
    path: Path,
    described: str,
    headroom: Mapping[str, Any] | None = None,
) -> None:
    """Write the table as ``PATH.md`` and ``PATH.csv``, and a plot of it as ``PATH.png``.

    Args:
        table: the paper's.
        entries: the lines.
        path: without suffix.
        described: data, size and length of the runs, in words.
        headroom: see :func:`line_of`.

    Raises:
        ProtocolError: if two of the scores have unequal protocols, or the headroom is of others.
    """
    protocol = one_protocol([scored for entry in entries for scored in entry.scored()])
    if headroom:
        demand_same_images(headroom, protocol)
        described += f" {in_a_sentence(headroom)}"
    lines = [line_of(entry, headroom) for entry in entries]
    text = markdown(table, lines, described, protocol)
    write_atomically(path.with_name(f"{path.name}.md"), text.encode())
    write_atomically(path.with_name(f"{path.name}.csv"), as_csv(lines).encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    plot = plot_cost if table.cost else plot_table
    plot(f"{table.title} ({path.name})", lines, path.with_name(f"{path.name}.png"))


def markdown(
    table: Table, lines: Sequence[Mapping[str, Any]], described: str, protocol: Mapping[str, Any]
) -> str:
    """The table for a person."""
    columns = _columns(table, lines)
    heads = [head for head, _ in columns]
    rows = [[cell(line) for _, cell in columns] for line in lines]
    scored = f"Protocol: {in_words(protocol)}." if protocol else "Nothing has been scored yet."
    return "\n".join(
        [
            f"# {table.title}",
            "",
            f"{described} Pixel accuracy in percent, mean ± standard deviation over seeds (n); "
            "gap = last epoch minus the paper's number. Training and scored images are one set, "
            "as in the published protocol.",
            "",
            *grid(heads, rows),
            "",
            scored,
            "",
        ]
    )


def _columns(table: Table, lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, Cell]]:
    """Heads of a table's columns, and what a line of it has there."""

    def over_seeds(key: str) -> Cell:
        return lambda line: spread(line[key])

    def mean(key: str) -> Cell:
        return lambda line: _number(statistics.mean(line[key]) if line[key] else None, 1)

    named = [key for key in (lines[0] if lines else ()) if re.fullmatch(r"named_\d+k", key)]
    return [
        (table.column, lambda line: line["label"]),
        ("size", lambda line: line["size"]),
        ("recipe", lambda line: line["recipe"]),
        ("paper", _published),
        ("last epoch", over_seeds("last")),
        ("gap", lambda line: _number(line["gap"], 1, sign=True)),
        ("best epoch, selected with labels", over_seeds("best")),
        (f"epoch selected without labels ({SELECT_BY})", over_seeds("label_free")),
        ("Random CNN (untrained)", over_seeds("untrained")),
        ("majority class", lambda line: _number(line["majority"], 2)),
        ("mIoU, last", over_seeds("miou")),
        ("after naming, K clusters", over_seeds("named")),
        *((f"{key[6:-1]} K clusters", over_seeds(key)) for key in named),
        ("headroom", over_seeds("headroom")),
        ("epochs", lambda line: ", ".join(map(str, line["epochs"]))),
        ("training, min", mean("minutes")),
        ("s an epoch", mean("epoch_seconds")),
        ("notes", lambda line: line["notes"]),
    ]


def _published(line: Mapping[str, Any]) -> str:
    """The paper's number; in brackets where it is of other data."""
    if line["paper"] is None and line["paper_coco15"] is not None:
        return f"({line['paper_coco15']:.1f} on COCO-Stuff)"
    return _number(line["paper"], 1)


def write_times(
    table: Table, measured: Mapping[str, Mapping[str, float]], path: Path, described: str
) -> None:
    """Write Table 11 as ``PATH.md`` and ``PATH.csv``.

    Args:
        table: the paper's, with ``train`` and ``inference`` in ms as its numbers.
        measured: row label -> column -> value, an image.
        path: without suffix.
        described: machine and batch, in words.
    """
    lines = []
    for row in table.rows:
        paper = {f"paper, {kind} ms": value for kind, value in row.paper.items()}
        lines.append(dict(label=row.label) | paper | dict(measured[row.label]))
    # What the graph and the superpixels cost beyond the first row, which no machine changes.
    ratios = {
        key: value / lines[0][key] for key, value in lines[-1].items() if isinstance(value, float)
    }
    lines.append(dict(label=f"{lines[-1]['label']} / {lines[0]['label']}") | ratios)
    heads = list(lines[0])
    cells = [
        [v if isinstance(v := line[head], str) else f"{v:.2f}" for head in heads] for line in lines
    ]
    heads[0] = table.column
    text = [f"# {table.title}", "", described, "", *grid(heads, cells), ""]
    write_atomically(path.with_name(f"{path.name}.md"), "\n".join(text).encode())
    write_atomically(path.with_name(f"{path.name}.csv"), as_csv(lines).encode())


def as_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table for a program: means and deviations, and each seed's value."""
    out = io.StringIO()
    writer = None
    for line in lines:
        cells: dict[str, Any] = {}
        for name, value in line.items():
            if isinstance(value, list) and name != "epochs":
                cells[name] = statistics.mean(value) if value else ""
                cells[f"{name}_sd"] = statistics.stdev(value) if len(value) > 1 else ""
                cells[f"{name}_seeds"] = " ".join(f"{v:g}" for v in value)
            elif isinstance(value, list):
                cells[name] = " ".join(map(str, value))
            else:
                cells[name] = "" if value is None else value
        if writer is None:
            writer = csv.DictWriter(out, list(cells), lineterminator="\n")
            writer.writeheader()
        writer.writerow(cells)
    return out.getvalue()


def _number(value: float | None, digits: int, sign: bool = False) -> str:
    return "" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def _notes(entry: Entry, results: Sequence[Mapping[str, Any]]) -> str:
    if not entry.runs:
        return "not run here" if entry.left_out else "not in this toolkit yet"
    notes = []
    if len(results) < len(entry.runs):
        notes.append(f"{len(entry.runs) - len(results)} of {len(entry.runs)} seeds unfinished")
    for factor, runs in entry.named.items():
        if missing := len(runs) - len(_results(runs)):
            notes.append(f"{missing} of {len(runs)} seeds at {factor} K unfinished")
    collapsed = [r["seed"] for r in results if r.get("collapsed")]
    if collapsed:
        kinds = sorted({kind for r in results for kind in r.get("collapsed", ())})
        seeds = ", ".join(map(str, collapsed))
        notes.append(f"collapse warned of in seed {seeds} ({', '.join(kinds)})")
    early = [r for r in results if r.get("max_epochs", 0) > r.get("epoch", 0)]
    if early:
        notes.append(f"{len(early)} stopped early, without labels")
    return "; ".join(notes)
