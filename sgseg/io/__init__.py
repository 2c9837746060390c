"""Files: images and label maps in, and whatever is written, whole or not at all."""

from .badfile import BadFileError

__all__ = ["BadFileError"]
