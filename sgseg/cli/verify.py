"""Find what is wrong with a data set: files, labels, pairs, splits, lists. Ends with 1 on faults.

Example:
    sgseg verify data/coco_stuff
    sgseg verify my_photos --bands 3 --report faults.json
"""

import argparse
from pathlib import Path

from .arguments import add_shared, usable_workers

ROOT = "a prepared cache, COCO-Stuff or Potsdam as they come, or a folder with images/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg verify``."""
    add = parser.add_argument
    add("root", help=ROOT)
    add_shared(parser, "--bands", "--label-map", "--value-range", "--workers")
    add("--size", type=int, nargs=2, metavar=("H", "W"), help="size of a folder's images")
    add("--published", action="store_true", help="demand the items of the published numbers")
    add("--report", help="JSON file; default work_dirs/verify/<name>.json")


def run(args: argparse.Namespace) -> int:
    """Verify, write the report, and say whether there are faults."""
    from ..datasets.verify import verify
    from ..io.progress import progress_bar

    size = tuple(args.size) if args.size else None
    meant = tuple(args.value_range) if args.value_range else None
    workers = usable_workers(args.workers)
    what = (args.root, args.bands, size, args.label_map, args.published, workers)
    with progress_bar("Verifying") as tell:
        report = verify(*what, tell, meant)
    path = args.report or f"work_dirs/verify/{Path(args.root).resolve().name}.json"
    report.write(path)
    print(report.text())
    print(f"Written to {path}")
    return 1 if report.faults else 0
