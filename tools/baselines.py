"""Accuracy of K-Means on colours, of the majority class and of the untrained network.

Example:
    python tools/baselines.py configs/sgseg/sgseg_diffgcn_mosaic.py
"""

import argparse

from sgseg.comparison import measure_baselines
from sgseg.training import build_config
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config with a labelled test set")
    parser.add_argument("--data", help="root folder of the data")
    parser.add_argument("--num-classes", type=int, help="number of clusters K")
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes")
    parser.add_argument("--bands", type=int, help="of the images of a folder; default 3")
    parser.add_argument("--seed", type=int, default=0, help="seed of K-Means and the weights")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    args = parser.parse_args()
    config = build_config(
        args.config,
        args.data,
        args.num_classes,
        args.label_map,
        seed=args.seed,
        bands=args.bands,
        options=args.cfg_options,
    )
    found = measure_baselines(config)
    for name, accuracy in found._asdict().items():
        print(f"{name:<10}{accuracy:6.2f} %")


if __name__ == "__main__":
    main()
