"""The command ``sgseg predict``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]], "python tools/predict.py"))
