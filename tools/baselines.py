"""The command ``sgseg baselines``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["baselines", *sys.argv[1:]], "python tools/baselines.py"))
