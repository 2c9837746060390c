"""The command ``sgseg browse``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["browse", *sys.argv[1:]], "python tools/browse_data.py"))
