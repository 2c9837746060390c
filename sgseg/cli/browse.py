"""Show what the network is given: images as the pipeline leaves them, and labels beside them.

Example:
    sgseg browse sgseg_diffgcn_mosaic --out mosaic.png
"""

import argparse
from pathlib import Path

from .arguments import add_shared, config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg browse``."""
    add_shared(parser, "config", "--data", "--label-map", "--bands", "--size")
    parser.add_argument("--split", default="train", choices=["train", "val", "test"])
    parser.add_argument("--count", type=int, default=12, help="images, evenly over the set")
    parser.add_argument("--out", default="data.png", help="picture to write")


def run(args: argparse.Namespace) -> None:
    """Draw, and print the protocol."""
    from ..io.images import write_png
    from ..training import build_config
    from ..training.browse import data_picture

    config = build_config(args.config, **config_arguments(args))
    picture, summary = data_picture(config, args.split, args.count)
    write_png(Path(args.out), picture)
    print(summary)
    print(f"Written to {args.out}")
