"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..datasets.files import write_atomically


class AtomicLocalBackend(LocalBackend):
    """Local files written to a temporary name, flushed, and then renamed.

    mmengine writes in place, so a killed run leaves a truncated checkpoint under its final name.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath``; an interruption leaves at most a ``.part`` file."""
        write_atomically(Path(filepath), obj)


register_backend("sgseg_atomic", AtomicLocalBackend, force=True)
