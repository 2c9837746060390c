"""The command ``sgseg verify``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]], "python tools/verify_data.py"))
