"""The page on which clusters are named in a browser: ``sgseg name RUN FOLDER``."""

from .naming import Naming
from .run import checkpoint_of

__all__ = ["Naming", "checkpoint_of"]
