"""The command ``sgseg demo``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]], "python tools/demo.py"))
