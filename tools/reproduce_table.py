"""Reproduce a table of the paper: does the missing runs, goes on with broken ones, and writes
paper | ours | gap. Whatever is killed, the same call goes on and gives the same table.

Example:
    python tools/reproduce_table.py table5 --data mosaic --preset tiny --seeds 3
    python tools/reproduce_table.py table1 --data coco15 data/coco_stuff --preset paper --gpus 0,1
    python tools/reproduce_table.py table1 --cluster slurm --slurm partition=gpu gpus_per_node=1
"""

import argparse
import sys
from pathlib import Path

from sgseg import comparison as tables
from sgseg.cost import runtimes
from sgseg.training.command_line import OptionsAction

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> int:
    """Parse the command line and run; 1 if a run failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("table", nargs="?", help="table1 ... table6, table11, presets")
    add("--rows", nargs="+", default=[], metavar="LABEL", help="these rows alone; default all")
    add("--data", nargs="+", default=["mosaic"], help="NAME [FOLDER]: coco15, potsdam, folder ...")
    add("--num-classes", type=int, help="clusters K, for --data folder")
    add("--label-map", help="FILE.json#KEY: raw labels to classes, for --data folder")
    add("--bands", type=int, help="of the images, for --data folder; default 3")
    add("--preset", default="tiny", help="sizes of the model: paper, small, tiny, or a file")
    add("--recipe", nargs="+", default=["paper", "practical"], help="default both")
    add("--seeds", type=int, default=3, help="how many, from 0")
    add("--epochs", type=int, help="of the recipe's schedule; default its own")
    add("--minutes", type=float, help="equal training time for every row instead of equal epochs")
    add("--jobs", type=int, help="runs at a time; default one a GPU, or one; on Slurm all")
    add("--gpus", default=(), type=lambda text: text.split(","), help="of this machine: 0,1")
    add("--cluster", default="local", help="where the runs are done: local or slurm")
    add("--slurm", nargs="+", action=OptionsAction, default={}, help="partition=NAME ...")
    add("--work-dir", default="work_dirs/tables", help="where runs and tables go")
    add("--cfg-options", nargs="+", action=OptionsAction, default={}, help="a.b.c=value, every row")
    add("--dry-run", action="store_true", help="say what would run, and for how long")
    add("--report-only", action="store_true", help="write what is finished, train nothing")
    add("--correlate", action="store_true", help="label-free scores against accuracy, all runs")
    args = parser.parse_args()
    if args.table is None and not args.correlate:
        parser.error("name a table, or give --correlate")
    if len(args.data) > 2:
        parser.error("--data takes a name and a folder")
    root = Path(args.work_dir)
    if args.correlate:
        print(tables.correlate(root))
        return 0
    table = tables.load_table(args.table, CONFIGS)
    if table.timed:
        print(tables.time_table(table, args.preset, CONFIGS, root, runtimes.compare))
        return 0
    data = tables.Data(
        *args.data, num_classes=args.num_classes, label_map=args.label_map, bands=args.bands
    )
    size = dict(preset=args.preset, epochs=args.epochs, minutes=args.minutes)
    size |= dict(recipes=args.recipe, seeds=range(args.seeds), options=args.cfg_options)
    request = tables.Request(table, data, CONFIGS, only=args.rows, root=root, **size)
    if args.dry_run:
        print("\n".join(tables.plan(tables.entries(request))))
        return 0
    jobs = tables.Jobs(args.cluster, args.jobs, args.gpus, args.slurm)
    try:
        return int(tables.reproduce(request, jobs, print, args.report_only) > 0)
    except KeyboardInterrupt:
        print("Interrupted; the same call goes on")
        return 130


if __name__ == "__main__":
    sys.exit(main())
