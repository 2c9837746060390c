"""A table of the paper from nothing: which runs it needs, doing those that are missing, writing it.

``reproduce`` is what ``tools/reproduce_table.py`` calls. Whatever is killed, calling it again goes
on and gives the same table.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..io.atomic import write_atomically
from .compose import RECIPES, Data, Recipe, compose, method_config
from .correlation import correlate
from .pool import Slot, make_slots, run_all
from .report import Entry, write_report, write_times
from .rows import Row, Table, load_table
from .runs import Run, prepare


@dataclass(frozen=True)
class Request:
    """What to reproduce, at which size, and for how long.

    Args:
        table: from :func:`~sgseg.comparison.rows.load_table`.
        data: the images.
        configs: folder of the configs.
        preset: sizes of the model.
        recipes: which of the two, side by side.
        seeds: of the runs.
        epochs: of the recipe's full schedule; default the recipe's own.
        minutes: training time of every row instead: as many epochs as fit.
        options: ``a.b.c=value`` overrides of every row.
        only: labels of the rows to run; the others stand with the published number. Default all.
        root: below it everything is written.

    Raises:
        ValueError: for ``epochs`` and ``minutes`` at once, no seed, or an unknown row.
    """

    table: Table
    data: Data
    configs: Path
    preset: str = "tiny"
    recipes: Sequence[Recipe] = RECIPES
    seeds: Sequence[int] = (0, 1, 2)
    epochs: int | None = None
    minutes: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    only: Sequence[str] = ()
    root: Path = Path("work_dirs/tables")

    def __post_init__(self) -> None:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("--epochs or --minutes, not both: one decides the length of a run")
        labels = [row.label for row in self.table.rows]
        if strange := set(self.only) - set(labels):
            raise ValueError(f"--rows {', '.join(sorted(strange))}: {self.table.name} has {labels}")
        unknown = set(self.recipes) - set(RECIPES)
        if unknown:
            raise ValueError(f"--recipe {', '.join(sorted(unknown))}: choose {', '.join(RECIPES)}")
        if not self.seeds or not self.recipes:
            raise ValueError(
                "a result is a set of seeds of a recipe: give one seed and one recipe at least"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"--minutes {self.minutes}: must be > 0")

    @property
    def name(self) -> str:
        """Of the files of the table."""
        length = f"-{self.minutes:g}min" if self.minutes else ""
        length += f"-{self.epochs}epochs" if self.epochs else ""
        return f"{self.table.name}-{self.data.label}-{self.preset}{length}"


def entries(request: Request) -> list[Entry]:
    """Every line of the table: row by row, the recipes below each other."""
    found = []
    for row in request.table.rows:
        left_out = bool(request.only) and row.label not in request.only
        missing = left_out or (row.method is not None and not _has_method(row, request))
        single = row.method is not None or row.baseline == "kmeans"  # no recipe of ours in it
        for recipe in request.recipes[:1] if single else request.recipes:
            label = row.method or "none" if single else recipe
            runs, size = ((), "") if missing else _runs(request, row, recipe, label)
            found.append(
                Entry(
                    row=row,
                    recipe=label,
                    paper=row.paper.get(request.data.name),
                    elsewhere=row.paper.get("coco15"),
                    size=size,
                    runs=runs,
                    left_out=left_out,
                )
            )
    return found


def reproduce(
    request: Request,
    slots: Sequence[Slot] = (),
    say: Callable[[str], None] = print,
    report_only: bool = False,
) -> int:
    """Do the missing runs and write Markdown, CSV and a plot.

    Args:
        request: what to reproduce.
        slots: from :func:`~sgseg.comparison.pool.make_slots`; default one.
        say: where the progress goes.
        report_only: write what is finished, and train nothing.

    Returns:
        How many runs failed.

    Raises:
        ProtocolError: if the runs were scored under unequal protocols.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what is finished has been written.
    """
    lines = entries(request)
    missing = [] if report_only else unfinished(lines)
    done = sum(len(line.runs) for line in lines) - len(unfinished(lines))
    say(f"{request.table.title}: {done} runs finished, {len(missing)} to do")

    def report(run: Run | None = None) -> None:
        write_report(request.table, lines, request.root / request.name, describe(request))

    try:
        failed = run_all(missing, slots or make_slots(), say, report) if missing else []
    finally:
        report()
    say(f"Written to {request.root / request.name}.md, .csv and .png")
    return len(failed)


def describe(request: Request) -> str:
    """What the numbers of this request are numbers of, for below the table."""
    length = "the recipe's own length"
    if request.minutes:
        length = f"{request.minutes:g} minutes of training a run, as many epochs as fit"
    elif request.epochs:
        length = f"{request.epochs} epochs"
    text = f"Data: {request.data.label}. Size: preset `{request.preset}`. Length: {length}."
    if request.options:
        given = ", ".join(f"`{key}={value}`" for key, value in request.options.items())
        text += f" Overrides: {given}."
    return text


def unfinished(lines: Sequence[Entry]) -> list[Run]:
    """Missing runs: begun ones first, then seed by seed; a run that rows share stands once."""
    runs = dict.fromkeys(run for line in lines for run in line.runs if run.result() is None)
    return sorted(runs, key=lambda run: (not run.epochs_done(), run.seed))


def plan(lines: Sequence[Entry]) -> list[str]:
    """What would run and for how long, judged by finished runs of the row, else of the recipe."""
    text, total, unknown, counted = [], 0.0, 0, set()
    for line in lines:
        if not line.runs:
            why = "left out (--rows)" if line.left_out else "not in this toolkit yet"
            text.append(f"{line.row.label}: published number only, {why}")
        for run in line.runs:
            known = run.result()
            state = "finished" if known else f"epoch {run.epochs_done()}, goes on"
            if known is None and not run.epochs_done():
                state = "missing"
            if known is None:
                seconds = _expected(line, lines)
                if run not in counted:  # rows may share it
                    unknown += seconds is None
                    total += seconds or 0.0
                counted.add(run)
                state += "" if seconds is None else f", about {seconds / 60:.1f} min of training"
            text.append(f"{line.row.label}, {line.recipe}, seed {run.seed}: {state}")
    todo = len(unfinished(lines))
    text.append(
        f"{todo} runs to do, about {total / 60:.0f} min of training"
        + (f", {unknown} of them of unknown length (nothing finished to judge by)" * bool(unknown))
    )
    return text


def _expected(line: Entry, lines: Sequence[Entry]) -> float | None:
    for among in ([line], [other for other in lines if other.recipe == line.recipe]):
        results = (run.result() for other in among for run in other.runs)
        found = [r["training_seconds"] for r in results if r and "training_seconds" in r]
        if found:
            return statistics.median(found)
    return None


def _has_method(row: Row, request: Request) -> bool:
    return method_config(row, request.data.name, request.configs) is not None


def _runs(request: Request, row: Row, recipe: Recipe, label: str) -> tuple[tuple[Run, ...], str]:
    """A run for each seed, and the sizes they have."""
    config = compose(
        row,
        recipe,
        request.data,
        request.preset,
        request.configs,
        epochs=request.epochs,
        options=request.options,
    )
    minutes = None if row.baseline else request.minutes
    preset = row.preset or request.preset
    prefix = "-".join((request.data.label, preset, row.baseline or label))
    folder = prepare(request.root, prefix, config, row.baseline, minutes)
    return tuple(Run(folder, seed) for seed in request.seeds), _size(config, row)


def _size(config: Config, row: Row) -> str:
    """N and k as they are at this size."""
    if row.baseline == "kmeans" or row.method:
        return ""
    model = config.model
    parts = []
    if model.get("backbone"):
        parts.append(f"N {model.backbone.num_superpixels}")
    if model.get("neck"):
        parts.append(f"k {model.neck.knn}")
    return ", ".join(parts)


def main(args: Any, configs: Path, say: Callable[[str], None], compare: Callable[..., Any]) -> int:
    """What ``tools/reproduce_table.py`` does with its arguments.

    Args:
        args: as the tool parses them.
        configs: folder of the configs.
        say: where the text goes.
        compare: :func:`sgseg.cost.runtimes.compare`, for the table of times.

    Returns:
        Exit status: 1 if a run failed.
    """
    root = Path(args.work_dir)
    if args.correlate:
        text = correlate(root)
        write_atomically(root / "label_free.md", text.encode())
        say(text)
        return 0
    table = load_table(args.table, configs)
    if table.timed:
        return _time(table, args.preset, configs, root, say, compare)
    request = Request(
        table=table,
        data=Data(
            *args.data,
            num_classes=args.num_classes,
            label_map=args.label_map,
            bands=args.bands,
        ),
        configs=configs,
        preset=args.preset,
        recipes=args.recipe,
        seeds=range(args.seeds),
        epochs=args.epochs,
        minutes=args.minutes,
        options=args.cfg_options,
        only=args.rows,
        root=root,
    )
    if args.dry_run:
        say("\n".join(plan(entries(request))))
        return 0
    slots = make_slots(args.jobs, [gpu for gpu in args.gpus.split(",") if gpu])
    return int(reproduce(request, slots, say, args.report_only) > 0)


def _time(
    table: Table,
    preset: str,
    configs: Path,
    root: Path,
    say: Callable[[str], None],
    compare: Callable[..., Any],
) -> int:
    paths = {row.label: configs / f"sgseg/{row.config}_coco15.py" for row in table.rows}
    found = compare(paths, preset)
    measured = {row.name: row.values for row in found.rows}
    path = root / f"{table.name}-coco15-{preset}"
    described = f"Measured on {found.figures['device']}, size `{preset}`, COCO-Stuff's 128 x 128, "
    described += "batch 1; the paper's on an RTX 3090."
    write_times(table, measured, path, described)
    say(f"{found.text()}\nWritten to {path}.md and .csv")
    return 0
