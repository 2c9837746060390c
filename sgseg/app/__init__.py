"""The page on which clusters are named in a browser: ``sgseg name RUN FOLDER``."""

from .naming import Naming

__all__ = ["Naming"]
