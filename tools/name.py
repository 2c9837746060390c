"""The command ``sgseg name``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["name", *sys.argv[1:]], "python tools/name.py"))
