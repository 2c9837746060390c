"""Print a config with all that it inherits and all overrides applied, or list the configs.

Example:
    sgseg config sgseg_diffgcn_coco15 --preset small
    sgseg config --list
"""

import argparse

from .arguments import UsageError, add_shared, config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg config``."""
    parser.add_argument("config", nargs="?", help="config file, or the name of one")
    parser.add_argument("--list", action="store_true", help="names of the configs of the package")
    add_shared(parser, "--preset", "--cfg-options")


def run(args: argparse.Namespace) -> None:
    """Print the config or the list."""
    from ..config_files import packaged_configs

    if args.list:
        for name, path in packaged_configs().items():
            print(f"{name:<34}{path.parent.name}/{path.name}")
        return
    if args.config is None:
        raise UsageError("name a config, or give --list")
    from ..training import build_config

    print(build_config(args.config, **config_arguments(args)).pretty_text)
