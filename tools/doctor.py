"""The command ``sgseg doctor``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]], "python tools/doctor.py"))
