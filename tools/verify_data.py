"""Find what is wrong with a data set: files, labels, pairs, splits, lists. Ends with 1 on faults.

Example:
    python tools/verify_data.py data/coco_stuff
    python tools/verify_data.py my_photos --bands 3 --report faults.json
"""

import argparse
import sys
from pathlib import Path

from sgseg.datasets.verify import verify
from sgseg.io.progress import progress_bar, usable_cores


def main() -> None:
    """Parse the command line, verify, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "root",
        help="a prepared cache, COCO-Stuff or Potsdam as they come, or a folder with images/",
    )
    parser.add_argument("--bands", type=int, help="bands of a folder's images; default: the usual")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="size of a folder's images"
    )
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes")
    parser.add_argument(
        "--value-range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="samples for 0 and 1"
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="demand the items that the published numbers are on",
    )
    parser.add_argument("--workers", type=int, default=usable_cores(), help="default: all cores")
    parser.add_argument("--report", help="JSON file; default work_dirs/verify/<name>.json")
    args = parser.parse_args()
    size = tuple(args.size) if args.size else None
    meant = tuple(args.value_range) if args.value_range else None
    what = (args.root, args.bands, size, args.label_map, args.published, args.workers)
    with progress_bar("Verifying") as tell:
        report = verify(*what, tell, meant)
    path = args.report or f"work_dirs/verify/{Path(args.root).resolve().name}.json"
    report.write(path)
    print(report.text())
    print(f"Written to {path}")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
