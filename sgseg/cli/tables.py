"""Reproduce a table of the paper: does the missing runs and writes paper | ours | gap.

Whatever is killed, the same call goes on and gives the same table.

Example:
    sgseg tables table5 --data mosaic --preset tiny --seeds 3
    sgseg tables table1 --data coco15 data/coco_stuff --preset paper --gpus 0,1
    sgseg tables table1 --cluster slurm --slurm partition=gpu gpus_per_node=1
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import SHARED, UsageError, add_shared

if TYPE_CHECKING:
    from ..comparison import Request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg tables``."""
    add = parser.add_argument
    add("table", nargs="?", help="table1 ... table6, table11, presets, or FILE.py")
    add("--rows", nargs="+", default=[], metavar="LABEL", help="these rows alone; default all")
    add("--data", nargs="+", default=["mosaic"], help="NAME [FOLDER]: coco15, potsdam, folder ...")
    add_shared(parser, "--num-classes", "--label-map", "--bands")  # for --data folder
    add("--preset", **SHARED["--preset"] | dict(default="tiny"))
    add("--recipe", nargs="+", default=["paper", "practical"], help="default both, side by side")
    add("--seeds", type=int, default=3, help="how many, from 0")
    more = "2 4 8: train every row with 2 K ... clusters too, to be named"
    add("--clusters-per-class", type=int, nargs="+", default=[], metavar="N", help=more)
    add("--headroom", type=Path, metavar="FILE", help="headroom.json of sgseg headroom: a column")
    add("--epochs", type=int, help="of the recipe's schedule; default its own")
    add("--minutes", type=float, help="equal training time for every row instead of equal epochs")
    add("--jobs", type=int, help="runs at a time; default one a GPU, or one; on Slurm all")
    add("--gpus", default=(), type=lambda text: text.split(","), help="of this machine: 0,1")
    add("--cluster", default="local", help="where the runs are done: local or slurm")
    slurm = dict(default={}, metavar="KEY=VALUE", help="partition=NAME ...")
    add("--slurm", **SHARED["--cfg-options"] | slurm)
    add_shared(parser, "--track")
    add("--work-dir", default="work_dirs/tables", help="where runs and tables go")
    add("--cfg-options", **SHARED["--cfg-options"] | dict(default={}, help="of every row"))
    add("--dry-run", action="store_true", help="say what would run, and for how long")
    add("--budget", action="store_true", help="count GPU-hours and memory of every row; no data")
    add("--utilisation", type=float, default=0.2, help="of a GPU's peak rate, for --budget")
    add("--report-only", action="store_true", help="write what is finished, train nothing")
    add("--correlate", action="store_true", help="label-free scores against accuracy, all runs")


def run(args: argparse.Namespace) -> int:
    """Do the runs and write the table: 1 if a run failed, 130 if interrupted."""
    if args.table is None and not args.correlate:
        raise UsageError("name a table, or give --correlate")
    if len(args.data) > 2:
        raise UsageError("--data takes a name and a folder")
    from .. import comparison as tables
    from ..config_files import PACKAGED
    from ..cost import runtimes

    root = Path(args.work_dir)
    if args.correlate:
        print(tables.correlate(root))
        return 0
    table = tables.load_table(args.table, PACKAGED)
    if table.timed:
        print(tables.time_table(table, args.preset, PACKAGED, root, runtimes.compare))
        return 0
    known = dict(num_classes=args.num_classes, label_map=args.label_map, bands=args.bands)
    data = tables.Data(*args.data, **known, elsewhere=args.budget)
    size = dict(preset=args.preset, epochs=args.epochs, minutes=args.minutes)
    size |= dict(recipes=args.recipe, seeds=range(args.seeds), options=args.cfg_options)
    size |= dict(clusters_per_class=args.clusters_per_class, headroom=args.headroom)
    request = tables.Request(table, data, PACKAGED, only=args.rows, root=root, **size)
    if args.budget:
        print(_budget(request, args.utilisation))
        return 0
    jobs = tables.Jobs(args.cluster, args.jobs, args.gpus, args.slurm, args.track)
    if args.dry_run:
        print("\n".join(tables.plan(tables.entries(request))))
        return 0
    if args.gpus and not _has_gpu():
        raise UsageError("--gpus: torch sees no GPU here; leave it out to train on the cores")
    try:
        return int(tables.reproduce(request, jobs, print, args.report_only) > 0)
    except KeyboardInterrupt:
        print("Interrupted; the same call goes on")
        return 130


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _budget(request: Request, utilisation: float) -> str:
    from ..comparison import row_configs
    from ..cost.budget import SETS, budget_table

    if request.data.name not in SETS:
        raise UsageError(f"--budget: --data is one of {', '.join(SETS)}, whose sizes are published")
    title = f"{request.table.title}, {request.data.name}, size {request.preset}"
    return budget_table(title, row_configs(request), *SETS[request.data.name], utilisation).text()
