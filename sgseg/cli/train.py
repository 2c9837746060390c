"""Train a model from a config; evaluates, draws and saves checkpoints on the way.

Example:
    sgseg train sgseg_diffgcn_folder --data my_photos --num-classes 5
"""

import argparse

from .arguments import add_shared, config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg train``."""
    add_shared(parser, "config", "--data", "--num-classes", "--shares", "--preset")
    parser.add_argument("--epochs", type=int, help="length, all stages in proportion; 1: a trial")
    add_shared(parser, "--label-map", "--bands", "--value-range")
    parser.add_argument("--work-dir", help="default a new folder, work_dirs/<config name>")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    add_shared(parser, "--amp")
    parser.add_argument("--seed", type=int, help="seed of the whole run; default 0")
    parser.add_argument("--deterministic", action="store_true", help="repeatable on a GPU too")
    add_shared(parser, "--cfg-options", "--launcher")


def run(args: argparse.Namespace) -> None:
    """Train."""
    from ..training import build_config, train

    train(build_config(args.config, **config_arguments(args)), resume=args.resume)
