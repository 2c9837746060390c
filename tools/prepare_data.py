"""The command ``sgseg prepare``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]], "python tools/prepare_data.py"))
