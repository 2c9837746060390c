"""What a config needs before it is run: memory by batch, time, and what to change so that it fits.

Example:
    python tools/plan.py configs/sgseg/sgseg_diffgcn_coco15.py --gpu-memory 24
"""

import argparse

from sgseg.cost.plan import GIBI, make_plan
from sgseg.training import build_config
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line, count, time, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file, see configs/sgseg/")
    parser.add_argument("--preset", help="sizes of the model: paper, small, tiny, or a file")
    parser.add_argument("--data", help="root folder of the data, for the number of images")
    parser.add_argument("--gpu-memory", type=float, default=24, help="GiB; default 24")
    parser.add_argument("--batch", type=int, help="images a step; default the config's")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images")
    parser.add_argument("--amp", action="store_true", help="of a training with --amp")
    parser.add_argument("--no-time", action="store_true", help="count only, run no step")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    args = parser.parse_args()
    given = dict(preset=args.preset, options=args.cfg_options, amp=args.amp)
    config = build_config(args.config, args.data, **given)
    size = (args.size[0], args.size[1]) if args.size else None
    found = make_plan(config, size, args.batch, timed=not args.no_time)
    print(found.text(args.gpu_memory * GIBI))


if __name__ == "__main__":
    main()
