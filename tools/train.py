"""The command ``sgseg train``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], "python tools/train.py"))
