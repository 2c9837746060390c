"""Train SGSeg on mosaics of real textures and compare it with K-Means: the `make demo`.

Example:
    python tools/demo.py
"""

import argparse
from pathlib import Path

from sgseg.comparison import run_demo

DEFAULT = Path(__file__).parents[1] / "configs" / "sgseg" / "sgseg_diffgcn_mosaic.py"


def main() -> None:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default=str(DEFAULT), help="config with a labelled test set")
    parser.add_argument("--work-dir", help="output folder; default a new one, work_dirs/demo")
    parser.add_argument("--seed", type=int, default=0, help="seed of the run")
    args = parser.parse_args()
    run_demo(args.config, args.work_dir, args.seed, print)


if __name__ == "__main__":
    main()
