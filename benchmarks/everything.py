"""All benchmarks with their defaults, recorded in docs and compared with what is recorded there.

Times of one machine say nothing about another; what is kept and compared are goals: ratios within
one run, and counts. One column a kind of device: run on a GPU, this fills the GPU's.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import benchmarks
from sgseg.cost.result import Result, Row
from sgseg.io.atomic import write_atomically

START, END = "<!-- figures -->", "<!-- end of figures -->"
COLUMNS = ("CPU", "GPU")
Record = dict[str, Any]


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py everything``."""
    parser.add_argument("--coco", help="COCO-Stuff as it comes, for the benchmark of data")
    parser.add_argument("--only", nargs="+", help="names of benchmarks; default all")
    parser.add_argument("--record", help="folder with performance.json and .md to bring up to date")
    parser.add_argument("--against", help="performance.json: fail where a goal got worse")


def run(args: Namespace) -> Result:
    """Run every benchmark and keep or compare its goals."""
    column = "GPU" if torch.cuda.is_available() else "CPU"
    measured: Record = {}
    for name, module, options in _benchmarks(args):
        measured[name] = module.run(options).content()
        if args.record:  # at once: an hour of figures is not lost to the last of them
            record(Path(args.record), column, {name: measured[name]})
    if args.against:
        worse = compare(measured, json.loads(Path(args.against).read_text()), column)
        if worse:
            raise RuntimeError("Worse than recorded:\n" + "\n".join(worse))
    rows = [
        Row(f"{name}: {goal['name']}", dict(measured=goal["value"], wanted=goal["wanted"]))
        for name, content in measured.items()
        for goal in content["goals"]
    ]
    return Result(f"All benchmarks, {column}", rows)


def _benchmarks(args: Namespace) -> Iterator[tuple[str, Any, Namespace]]:
    """Each benchmark with its default arguments; ``data`` only where there are data."""
    for found in pkgutil.iter_modules(benchmarks.__path__):
        module = importlib.import_module(f"benchmarks.{found.name}")
        if not hasattr(module, "run") or found.name == "everything":
            continue
        if args.only and found.name not in args.only:
            continue
        if found.name == "data" and not args.coco:
            continue
        parser = ArgumentParser(prog=found.name)
        module.add_arguments(parser)
        yield found.name, module, parser.parse_args([args.coco] if found.name == "data" else [])


def record(folder: Path, column: str, measured: Record) -> None:
    """Put ``measured`` into ``performance.json``'s column and the table of ``performance.md``.

    Raises:
        ValueError: if the page has no place marked for the table.
    """
    kept = folder / "performance.json"
    columns: Record = json.loads(kept.read_text()) if kept.is_file() else {}
    columns[column] = columns.get(column, {}) | measured
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"{page}: wants one line {START} and one line {END} around its table")
    before, after = text.split(START)[0], text.split(END)[1]
    write_atomically(kept, (json.dumps(columns, indent=1) + "\n").encode())
    table = "\n".join(table_lines(columns))
    write_atomically(page, f"{before}{START}\n\n{table}\n\n{END}{after}".encode())


def table_lines(columns: Record) -> list[str]:
    """Markdown: a line a goal, a column a kind of device."""
    lines = [
        "| benchmark | figure | wanted | CPU | GPU |",
        "|---|---|---|---|---|",
    ]
    found = {kind: _goals(columns.get(kind, {})) for kind in COLUMNS}
    for key in dict.fromkeys(key for kind in COLUMNS for key in found[kind]):
        one = next(found[kind][key] for kind in COLUMNS if key in found[kind])
        cells = [_cell(found[kind].get(key)) for kind in COLUMNS]
        wanted = f"{'≥' if one['relation'] == '>=' else '≤'} {one['wanted']:g}"
        lines.append(f"| {key[0]} | {key[1]} | {wanted} | {' | '.join(cells)} |")
    return lines


def _goals(measured: Record) -> dict[tuple[str, str], Record]:
    return {
        (name, goal["name"]): goal
        for name, content in measured.items()
        for goal in content["goals"]
    }


def _cell(goal: Record | None) -> str:
    if goal is None:
        return "not measured"
    sign = 1 if goal["relation"] == ">=" else -1
    missed = sign * goal["value"] < sign * goal["wanted"]
    return f"{goal['value']:.3g}" + (" (missed)" if missed else "")


def compare(measured: Record, columns: Record, column: str) -> list[str]:
    """A sentence for every goal that is worse than recorded by more than its ``spread``."""
    recorded = _goals(columns.get(column, {}))
    worse = []
    for key, goal in _goals(measured).items():
        if key not in recorded:
            continue
        before, now = recorded[key]["value"], goal["value"]
        spread = goal["spread"]
        if now * spread < before if goal["relation"] == ">=" else now > before * spread:
            worse.append(f"{key[0]}: {key[1]}: {now:.4g}, recorded {before:.4g}")
    return worse
