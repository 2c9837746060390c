"""Accuracy of K-Means on colours, of the majority class and of the untrained network.

Example:
    sgseg baselines sgseg_diffgcn_mosaic
"""

import argparse

from .arguments import add_shared, config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg baselines``."""
    add_shared(parser, "config", "--data", "--num-classes", "--label-map", "--bands", "--size")
    parser.add_argument("--seed", type=int, default=0, help="seed of K-Means and the weights")
    add_shared(parser, "--cfg-options")


def run(args: argparse.Namespace) -> None:
    """Measure, and print."""
    from ..comparison import measure_baselines
    from ..training import build_config

    config = build_config(args.config, **config_arguments(args))
    for name, accuracy in measure_baselines(config)._asdict().items():
        print(f"{name:<10}{accuracy:6.2f} %")
