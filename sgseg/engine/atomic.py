"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


class AtomicLocalBackend(LocalBackend):
    """Local files written to a temporary name, flushed, and then renamed.

    mmengine writes in place, so a killed run leaves a truncated checkpoint under its final name.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath``; an interruption leaves at most a ``.part`` file."""
        write_atomically(Path(filepath), obj)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that ``path`` never holds a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


register_backend("sgseg_atomic", AtomicLocalBackend, force=True)
