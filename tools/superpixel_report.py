"""Score superpixels against human segmentations: classics, per-image networks, checkpoints.

Example:
    python tools/superpixel_report.py bsds500_test --methods slic fh grid --counts 100 200 400
    python tools/superpixel_report.py bsds500_test --methods rim --limit 8 --steps 100 --side 80 \\
        --model work_dirs/run/epoch_34.pth
"""

import argparse

from sgseg.comparison import superpixel_methods as ways
from sgseg.comparison.superpixel_report import superpixel_report
from sgseg.io.progress import progress_bar
from sgseg.training import config_for
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="folder with images/NAME.jpg and gt/NAME.npz")
    parser.add_argument("--methods", nargs="*", default=[], choices=ways.method_names())
    parser.add_argument("--counts", nargs="+", type=int, default=[200], help="superpixels asked")
    parser.add_argument("--model", nargs="+", action="append", default=[], help="[CONFIG] PTH")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="of every --model")
    parser.add_argument("--limit", type=int, help="images, evenly over the set; default all")
    parser.add_argument("--out", default="work_dirs/superpixels", help="goes on where it stopped")
    parser.add_argument("--side", type=int, help="shorter side that networks see")
    parser.add_argument("--steps", type=int, help="of a per-image network; default the paper's")
    parser.add_argument("--width", type=int, default=32, help="of a per-image network")
    parser.add_argument("--seed", type=int, default=0, help="of a per-image network")
    parser.add_argument("--device", default="cpu", help="of a per-image network")
    args = parser.parse_args()
    budget = ways.PerImageBudget(args.steps, args.side, args.width, args.seed, args.device)
    methods = [ways.named_method(name, n, budget) for name in args.methods for n in args.counts]
    for *given, checkpoint in args.model:
        if len(given) > 1:
            parser.error(f"--model: got {len(given) + 1} paths, wanted are [CONFIG] CHECKPOINT")
        built = config_for(checkpoint, *given, options=args.cfg_options)
        methods.append(ways.trained_method(built, checkpoint, args.side))
    with progress_bar("Measuring") as tell:
        superpixel_report(args.data, methods, args.out, args.limit, tell=tell)
    with open(f"{args.out}/report.md", encoding="utf-8") as report:
        print(report.read() + f"\nEvery number: {args.out}/report.json; look at contact_sheet.png")


if __name__ == "__main__":
    main()
