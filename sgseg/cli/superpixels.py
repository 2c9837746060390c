"""Score superpixels against human segmentations: classics, per-image networks, checkpoints.

Example:
    sgseg superpixels bsds500_test --methods slic fh grid --counts 100 200 400
    sgseg superpixels bsds500_test --methods rim --limit 8 --steps 100 --side 80 \\
        --model work_dirs/run/epoch_34.pth
    sgseg superpixels bsds500_test --methods slic --smoothing 1 --compactness 5 \\
        --counts 100 200 400 --model work_dirs/local_spnn_folder/latest/epoch_10.pth
"""

import argparse

from .arguments import UsageError, add_shared, config_and


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg superpixels``."""
    add = parser.add_argument
    add("data", help="folder with images/NAME.jpg and gt/NAME.npz")
    add("--methods", nargs="*", default=[], help="slic, seeds, fh, grid, rim, edge_aware, eliasof")
    add("--counts", nargs="+", type=int, default=[200], help="superpixels asked")
    add("--smoothing", type=float, help="of slic, seeds, fh: Gaussian, deviation in pixels")
    add("--compactness", type=float, help="of slic; default 10")
    add("--model", nargs="+", action="append", default=[], help="[CONFIG] PTH")
    add_shared(parser, "--cfg-options")
    add("--limit", type=int, help="images, evenly over the set; default all")
    add("--out", default="work_dirs/superpixels", help="goes on where it stopped")
    add("--side", type=int, help="shorter side that networks see")
    add("--steps", type=int, help="of a per-image network; default the paper's")
    add("--width", type=int, default=32, help="of a per-image network")
    add("--seed", type=int, default=0, help="of a per-image network")
    add("--device", default="cpu", help="of a per-image network")


def run(args: argparse.Namespace) -> None:
    """Measure, and print the table."""
    from ..comparison import superpixel_methods as ways
    from ..comparison.superpixel_report import superpixel_report
    from ..io.progress import progress_bar
    from ..training import config_for

    if unknown := set(args.methods) - set(ways.method_names()):
        known = ", ".join(ways.method_names())
        raise UsageError(f"--methods {', '.join(sorted(unknown))}: choose among {known}")
    budget = ways.PerImageBudget(args.steps, args.side, args.width, args.seed, args.device)
    tuning = (args.smoothing, args.compactness)
    methods = [
        ways.named_method(name, n, budget, *tuning) for name in args.methods for n in args.counts
    ]
    for paths in args.model:
        given, checkpoint = config_and(paths, 1, "--model [CONFIG] CHECKPOINT")
        built = config_for(checkpoint, given, options=args.cfg_options)
        methods += ways.trained_methods(built, checkpoint, args.counts, args.side)
    with progress_bar("Measuring") as tell:
        superpixel_report(args.data, methods, args.out, args.limit, tell=tell)
    with open(f"{args.out}/report.md", encoding="utf-8") as report:
        print(report.read() + f"\nEvery number: {args.out}/report.json; look at contact_sheet.png")
