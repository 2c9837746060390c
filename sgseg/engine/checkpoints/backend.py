"""A file backend of mmengine that writes checkpoints whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ...io.atomic import write_atomically


class AtomicLocalBackend(LocalBackend):
    """Local files written to a temporary name, flushed, and then renamed.

    mmengine writes in place, so a killed run leaves a truncated checkpoint under its final name.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath``; an interruption leaves at most a ``.part`` file.

        Raises:
            OSError: if it cannot be written, a full disk for example.
        """
        try:
            write_atomically(Path(filepath), obj)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror or error}: could not be saved ({len(obj) / 2**20:.1f} MiB). The "
                "checkpoints before it stand; make room and go on with --resume",
                str(filepath),
            ) from error


register_backend("sgseg_atomic", AtomicLocalBackend, force=True)
