"""The command ``sgseg test``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]], "python tools/test.py"))
