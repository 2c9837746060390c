"""Train SGSeg on mosaics of real textures and compare it with K-Means: five to eight minutes.

Example:
    sgseg demo --work-dir work_dirs/demo
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg demo``."""
    parser.add_argument(
        "--config", default="sgseg_diffgcn_mosaic", help="config with a labelled test set"
    )
    parser.add_argument("--work-dir", help="output folder; default a new one, work_dirs/demo")
    parser.add_argument("--seed", type=int, default=0, help="seed of the run")


def run(args: argparse.Namespace) -> None:
    """Train, compare, and say where to look."""
    from ..comparison import run_demo

    run_demo(args.config, args.work_dir, args.seed, print)
