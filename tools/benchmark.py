"""Measure speed and memory; every comparison within one run. One subcommand a benchmark.

Example:
    python tools/benchmark.py data /data/coco_stuff --out data.json
"""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is not installed

import benchmarks


def main() -> None:
    """Parse the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="benchmark", required=True)
    names = [f"benchmarks.{each.name}" for each in pkgutil.iter_modules(benchmarks.__path__)]
    for name in [*names, "sgseg.cost.runtimes"]:
        module = importlib.import_module(name)
        if hasattr(module, "run"):
            summary = (module.__doc__ or "").splitlines()[0]
            short = name.rpartition(".")[2]
            kind = kinds.add_parser(short, help=summary, description=module.__doc__)
            module.add_arguments(kind)
            kind.add_argument("--out", help="JSON file to write")
            kind.set_defaults(run=module.run)
    args = parser.parse_args()
    result = args.run(args)
    print(result.text())
    if args.out:
        result.write(args.out)


if __name__ == "__main__":
    main()
