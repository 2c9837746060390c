"""Reproduce a table of the paper: list its runs, do those that are missing, write it.

Whatever is killed, calling :func:`reproduce` again goes on and gives the same table.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..io.jsonfile import read_json
from ..registry import find
from ..training.config import set_num_classes
from .compose import RECIPES, Data, Recipe, compose, method_config
from .jobs import Jobs, run_all
from .report import Entry, write_report, write_times
from .rows import Row, Table
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
        clusters_per_class: further trainings of every row, each with so many times the clusters,
            for the accuracy of a person who names them.
        headroom: a ``headroom.json`` of the same images, for its column.
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
    clusters_per_class: Sequence[int] = ()
    headroom: Path | None = None
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
        if any(factor < 2 for factor in self.clusters_per_class):
            raise ValueError(
                f"--clusters-per-class {' '.join(map(str, self.clusters_per_class))}: give numbers "
                "from 2 up; one cluster a class is what every row has"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"--minutes {self.minutes}: must be > 0")

    @property
    def name(self) -> str:
        """Name of the table's files."""
        length = f"-{self.minutes:g}min" if self.minutes else ""
        length += f"-{self.epochs}epochs" if self.epochs else ""
        return f"{self.table.name}-{self.data.label}-{self.preset}{length}"


def entries(request: Request) -> list[Entry]:
    """Every line of the table: row by row, the recipes below each other."""
    lines = []
    for row in request.table.rows:
        left_out = bool(request.only) and row.label not in request.only
        known = row.method is None or method_config(row, request.data.name, request.configs)
        single = row.method is not None or row.baseline == "kmeans"  # no recipe of ours in it
        for recipe in request.recipes[:1] if single else request.recipes:
            label = row.method or "none" if single else recipe
            made = _Prepared(dict.fromkeys((1, *request.clusters_per_class), ()))
            if known and not left_out:
                made = _prepared(request, row, recipe, label)
            lines.append(
                Entry(
                    row=row,
                    recipe=label,
                    paper=row.paper.get(request.data.name),
                    elsewhere=row.paper.get("coco15"),
                    size=made.size,
                    runs=made.runs[1],
                    named={factor: made.runs[factor] for factor in request.clusters_per_class},
                    block=made.block,
                    left_out=left_out,
                )
            )
    return lines


def row_configs(request: Request) -> Iterator[tuple[str, Config]]:
    """Name and config of every row that can be run, the recipes below each other.

    The images need not be here (:attr:`.Data.elsewhere`), for nothing is prepared to be run.
    """
    for row in request.table.rows:
        if row.method and not method_config(row, request.data.name, request.configs):
            continue
        if request.only and row.label not in request.only:
            continue
        if row.baseline == "kmeans":  # its own config; the row's is that of the images
            row = replace(row, config="kmeans")
        for recipe in request.recipes[:1] if row.method else request.recipes:
            label = row.label if row.method else f"{row.label} ({recipe})"
            yield label, _composed(request, row, recipe)


def _composed(request: Request, row: Row, recipe: Recipe) -> Config:
    return compose(
        row,
        recipe,
        request.data,
        request.preset,
        request.configs,
        epochs=request.epochs,
        options=request.options,
    )


class _Prepared(NamedTuple):
    """The runs of a line, by clusters a class; N and k as they are; see :class:`.Entry`."""

    runs: dict[int, tuple[Run, ...]]
    size: str = ""
    block: tuple[str, bool] | None = None


def _prepared(request: Request, row: Row, recipe: Recipe, label: str) -> _Prepared:
    """A run for each seed and number of clusters."""
    config = _composed(request, row, recipe)
    preset = row.preset or request.preset
    minutes = None if row.baseline else request.minutes
    clusters, runs = int(config.model.decode_head.num_classes), {}
    for factor in (1, *request.clusters_per_class):
        set_num_classes(config, factor * clusters)
        scale = preset if factor == 1 else f"{preset}_{factor}k"
        prefix = "-".join((request.data.label, scale, row.baseline or label))
        folder = prepare(request.root, prefix, config, row.baseline, minutes)
        runs[factor] = tuple(Run(folder, seed) for seed in request.seeds)
    if row.method is not None or row.baseline == "kmeans":
        return _Prepared(runs)
    sizes, block = [], None
    if config.model.get("backbone"):
        sizes.append(f"N {config.model.backbone.num_superpixels}")
    if neck := config.model.get("neck"):
        sizes.append(f"k {neck.knn}")
        kind = find((neck.get("block") or dict(type="DiffGCNBlock"))["type"])
        block = kind.__name__, bool(neck.get("use_position", True))
    return _Prepared(runs, ", ".join(sizes), block)


def reproduce(
    request: Request,
    jobs: Jobs | None = None,
    say: Callable[[str], None] = print,
    report_only: bool = False,
) -> int:
    """Do the missing runs and write Markdown, CSV and a plot.

    Args:
        request: what to reproduce.
        jobs: where the runs are done; default one at a time on this machine.
        say: where the progress goes.
        report_only: write what is finished, and train nothing.

    Returns:
        How many runs failed.

    Raises:
        ModuleNotFoundError: if runs are missing, and submitit is.
        ProtocolError: if the runs were scored under unequal protocols.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what is finished has been written.
    """
    lines = entries(request)
    headroom = None if request.headroom is None else read_json(request.headroom)
    missing = [] if report_only else unfinished(lines)
    done = len({run for line in lines for run in line.all_runs()}) - len(unfinished(lines))
    say(f"{request.table.title}: {done} runs finished, {len(missing)} to do")

    def report() -> None:
        path = request.root / request.name
        write_report(request.table, lines, path, describe(request), headroom)

    try:
        failed = run_all(missing, jobs or Jobs(), say, report) if missing else []
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
    runs = dict.fromkeys(run for line in lines for run in line.all_runs() if run.result() is None)
    return sorted(runs, key=lambda run: (not run.epochs_done(), run.seed))


def plan(lines: Sequence[Entry]) -> list[str]:
    """What would run and for how long, judged by finished runs of the row, else of the recipe."""
    text = []
    seconds: dict[Run, float | None] = {}  # rows may share a run
    for line in lines:
        if not line.runs:
            why = "left out (--rows)" if line.left_out else "not in this toolkit yet"
            text.append(f"{line.row.label}: published number only, {why}")
        for factor, runs in ({1: line.runs} | dict(line.named)).items():
            more = "" if factor == 1 else f", {factor} K clusters"
            for run in runs:
                if run.result() is None:
                    seconds[run] = _expected(line, lines)
                state = _state(run, seconds.get(run))
                text.append(f"{line.row.label}, {line.recipe}{more}, seed {run.seed}: {state}")
    known = [value for value in seconds.values() if value is not None]
    total = f"{len(seconds)} runs to do, about {sum(known) / 60:.0f} min of training"
    if unknown := len(seconds) - len(known):
        total += f", {unknown} of them of unknown length (nothing finished to judge by)"
    return [*text, total]


def _state(run: Run, expected: float | None) -> str:
    if run.result() is not None:
        return "finished"
    state = f"epoch {run.epochs_done()}, goes on" if run.epochs_done() else "missing"
    return state if expected is None else f"{state}, about {expected / 60:.1f} min of training"


def _expected(line: Entry, lines: Sequence[Entry]) -> float | None:
    """Seconds of training that a run of a line takes, judged by those that are finished."""
    for among in ([line], [other for other in lines if other.recipe == line.recipe]):
        results = [result for other in among for result in other.results()]
        if seconds := [r["training_seconds"] for r in results if "training_seconds" in r]:
            return statistics.median(seconds)
    return None


def time_table(
    table: Table, preset: str, configs: Path, root: Path, compare: Callable[..., Any]
) -> str:
    """Measure a table of times and write it below ``root``.

    Args:
        table: with ``timed``.
        preset: size of the models.
        configs: folder of the configs.
        root: folder to write to.
        compare: :func:`sgseg.cost.runtimes.compare`.

    Returns:
        The measured times, and where they were written, in words.
    """
    paths = {row.label: configs / f"sgseg/{row.config}_coco15.py" for row in table.rows}
    result = compare(paths, preset)
    path = root / f"{table.name}-coco15-{preset}"
    described = f"Measured on {result.figures['device']}, size `{preset}`, COCO-Stuff's 128 x 128, "
    described += "batch 1; the paper's on an RTX 3090."
    write_times(table, {row.name: row.values for row in result.rows}, path, described)
    return f"{result.text()}\nWritten to {path}.md and .csv"
