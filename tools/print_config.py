"""Print a config with everything it inherits and all overrides applied.

Example:
    python tools/print_config.py configs/sgseg/sgseg_diffgcn_coco15.py
"""

import argparse

from sgseg.training import build_config
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--preset", help="sizes of the model: paper, small, tiny, or a file")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    args = parser.parse_args()
    print(build_config(args.config, preset=args.preset, options=args.cfg_options).pretty_text)


if __name__ == "__main__":
    main()
