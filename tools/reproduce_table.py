"""The command ``sgseg tables``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["tables", *sys.argv[1:]], "python tools/reproduce_table.py"))
