"""The command ``sgseg headroom``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["headroom", *sys.argv[1:]], "python tools/headroom.py"))
