"""The command ``sgseg superpixels``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["superpixels", *sys.argv[1:]], "python tools/superpixel_report.py"))
