"""The error for a file that is not what a data set needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class BadFileError(ValueError):
    """A file that is not what the data set needs; the message starts with its path.

    Args:
        path: the file.
        fault: what was found, what is wanted, what to do.
        kind: ``unreadable``, ``empty``, ``truncated``, ``pages``, ``bands``, ``dtype``, ``size``,
            ``label_range`` or ``label_size``, for reports that count faults.
    """

    def __init__(self, path: str | Path, fault: str, kind: str = "unreadable") -> None:
        super().__init__(f"{path}: {fault}")
        self.path = Path(path)
        self.fault = fault
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its arguments: it crosses from a worker process as itself."""
        return type(self), (self.path, self.fault, self.kind)
