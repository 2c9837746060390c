"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, shared: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes the name ``path`` when it is whole and on disk.

    An error removes what was written; a killed process leaves at most a ``.part`` file.

    Args:
        path: of the file; its folder is made.
        shared: several processes may write it at once; the last one to finish wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}{f'.{os.getpid()}' if shared else ''}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that ``path`` never holds a part of it."""
    with replacing(path) as file:
        file.write(content)
