"""Train a model from a config; evaluates, draws and saves checkpoints on the way.

Example:
    sgseg train sgseg_diffgcn_folder --data my_photos --num-classes 5
"""

import argparse
import shlex
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .arguments import add_shared, config_arguments

if TYPE_CHECKING:
    from mmengine.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg train``."""
    add_shared(parser, "config", "--data", "--num-classes", "--shares", "--preset")
    parser.add_argument("--epochs", type=int, help="length, all stages in proportion; 1: a trial")
    add_shared(parser, "--label-map", "--bands", "--value-range", "--size")
    parser.add_argument("--work-dir", help="default a new one: work_dirs/<config>/run_N")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    add_shared(parser, "--amp")
    parser.add_argument("--seed", type=int, help="seed of the whole run; default 0")
    parser.add_argument("--deterministic", action="store_true", help="repeatable on a GPU too")
    add_shared(parser, "--cfg-options", "--launcher", "--track", "--verbose")


def run(args: argparse.Namespace) -> None:
    """Train, and say what may come next."""
    from ..datasets import ImageFolder
    from ..engine.console import RunConsole
    from ..registry import is_a
    from ..training import build_config, train

    with RunConsole(args.verbose or args.debug) as console:
        config = build_config(args.config, **config_arguments(args))
        folder = is_a(config.train_dataloader.dataset, ImageFolder)
        if folder and args.num_classes is None and args.shares is None:
            clusters = config.model.decode_head.num_classes
            console.say(f"{clusters} clusters, as the config has them; --num-classes sets another")
        runner = train(config, resume=args.resume, console=console)
        for title, command in zip(("Next:", ""), next_commands(runner), strict=False):
            console.say(f"{title:<6}{command}")


def next_commands(runner: "Runner") -> list[str]:
    """What to type after a training: maps of its images, and names for its clusters."""
    from ..training.words import from_here

    folder = from_here(runner.work_dir)
    images = runner.cfg.train_dataloader.dataset.get("root") or "my_photos"
    checkpoint = str(folder / f"epoch_{runner.epoch}.pth")
    commands = [["sgseg", "predict", checkpoint, images, "--out", "maps"]]
    if find_spec("sgseg.cli.name"):
        commands.append(["sgseg", "name", str(folder), images])
    return [shlex.join(command) for command in commands]
