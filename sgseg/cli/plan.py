"""What a config needs before it is run: memory by batch, time, and what to change so that it fits.

Of several GPUs also what they exchange in a step; with --images how their speed grows with them.

Example:
    sgseg plan sgseg_diffgcn_coco15 --gpu-memory 24 --gpus 8
    sgseg plan sgseg_diffgcn_coco15 --no-time --gpus 1 8 64 512 --images 10000 1000000
"""

import argparse

from .arguments import UsageError, add_shared, config_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg plan``."""
    add_shared(parser, "config", "--preset", "--data", "--amp", "--cfg-options")
    parser.add_argument("--gpu-memory", type=float, default=24, help="GiB; default 24")
    add = parser.add_argument
    add("--gpus", type=int, nargs="+", default=[1], help="count what so many exchange in a step")
    add("--images", type=int, nargs="+", help="compute the hours of so many, on each of --gpus")
    add("--utilisation", type=float, help="of a GPU's peak rate, for --images; default 0.2")
    parser.add_argument("--batch", type=int, help="images a step; default the config's")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images")
    parser.add_argument("--no-time", action="store_true", help="count only, run no step")


def run(args: argparse.Namespace) -> None:
    """Count, time, and print."""
    from ..cost.plan import GIBI, make_plan
    from ..training import build_config

    if min(args.gpus) < 1:
        raise UsageError(f"--gpus {min(args.gpus)}: give 1 or more")
    if args.utilisation is not None and not args.images:
        raise UsageError(f"--utilisation {args.utilisation} goes with --images")
    if args.images:
        args.utilisation = 0.2 if args.utilisation is None else args.utilisation
        from ..cost.scaling import check_asked, scaling_table

        check_asked(args.gpus, args.images, args.utilisation)
    config = build_config(args.config, **config_arguments(args) | dict(size=None))
    size = (args.size[0], args.size[1]) if args.size else None
    plan = make_plan(config, size, args.batch, timed=not args.no_time)
    print(plan.text(args.gpu_memory * GIBI))
    if max(args.gpus) > 1:
        from ..cost.communication import communication_text, step_communication

        most = max(args.gpus)
        # What each process gives is the same of any number of them, from two on.
        print(communication_text(step_communication(config, 2), most))
    if args.images:
        print(scaling_table(config, args.gpus, args.images, args.utilisation).text())
