"""Arrays in a folder, each found again by the digest of what it was made from.

A file an array, ``ab/abcdef....npy``, in half precision and mapped into memory when it is read.
It is written whole or not at all, so a process that is killed loses the array in its hands and
nothing else, and processes that share the folder cannot hurt each other: at worst two write the
same content.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from .atomic import replacing

Half = npt.NDArray[np.float16]


class ArrayStore:
    """Reader and writer of such a folder, which is made when the first array is kept.

    Args:
        folder: its path; deleting it, or files in it, loses nothing but time.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def find(self, key: str) -> Half | None:
        """The array kept under ``key``, mapped read-only; None without it, or if it is damaged."""
        try:
            kept = np.load(self._path(key), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return kept if kept.dtype == np.float16 else None

    def keep(self, key: str, array: npt.NDArray[np.floating]) -> None:
        """Keep ``array``, rounded to half precision, under ``key``."""
        with replacing(self._path(key), shared=True) as file:
            np.save(file, array.astype(np.float16))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"
