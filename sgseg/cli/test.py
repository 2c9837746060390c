"""Score a checkpoint on a labelled test set, by default its own; writes eval.json, pictures.

Example:
    sgseg test work_dirs/demo/epoch_10.pth
    sgseg test sgseg_diffgcn_mosaic work_dirs/demo/epoch_10.pth
"""

import argparse

from .arguments import add_shared, config_and, config_arguments

PATHS = (
    "[CONFIG] CHECKPOINT: epoch_N.pth or a run's folder; a config to score it on another one's data"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg test``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help=PATHS)
    add_shared(parser, "--data", "--num-classes", "--preset", "--label-map", "--bands")
    add_shared(parser, "--value-range", "--size")
    parser.add_argument("--work-dir", help="output folder; default beside the checkpoint")
    add_shared(parser, "--cfg-options", "--launcher", "--verbose")


def run(args: argparse.Namespace) -> None:
    """Score, and print the score."""
    from ..engine.checkpoints.newest import checkpoint_of
    from ..engine.console import RunConsole
    from ..training import config_for, test

    given, checkpoint = config_and(args.paths, 1, PATHS)
    with RunConsole(args.verbose or args.debug) as console:
        checkpoint = checkpoint_of(checkpoint)
        config = config_for(checkpoint, given, training=False, **config_arguments(args))
        record = test(config, checkpoint, console)
    named = record["named_accuracy"]
    print(
        f"accuracy {record['accuracy']:.2f} %, mIoU {record['miou']:.2f} %, "
        f"after naming {'-' if named is None else f'{named:.2f} %'}, "
        f"{record['images']} images; {config.work_dir}/eval.json"
    )
    for name, part in record.get("subsets", {}).items():
        print(f"  {name} alone: accuracy {part['accuracy']:.2f} %, {part['images']} images")
