"""The command ``sgseg config``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["config", *sys.argv[1:]], "python tools/print_config.py"))
