"""The command ``sgseg export``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]], "python tools/export.py"))
