"""The command ``sgseg plan``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["plan", *sys.argv[1:]], "python tools/plan.py"))
