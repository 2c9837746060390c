"""``python -m sgseg COMMAND ...``, for example under ``torchrun -m sgseg train``."""

import sys

from sgseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
