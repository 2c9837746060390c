"""Arrays by digest: found again, rounded to half, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgseg.io.array_store import ArrayStore
from sgseg.io.atomic import replacing

KEY = "ab" * 32


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    """In half precision, mapped and read-only; by its key alone, by another process too."""
    array = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    store = ArrayStore(tmp_path / "kept")
    assert store.find(KEY) is None and not (tmp_path / "kept").exists()
    store.keep(KEY, array)
    found = ArrayStore(tmp_path / "kept").find(KEY)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    np.testing.assert_array_equal(found, array.astype(np.float16))
    assert store.find(KEY[::-1]) is None


@pytest.mark.parametrize("content", [b"", b"half a file", None])
def test_a_damaged_array_is_none(tmp_path: Path, content: bytes | None) -> None:
    """Empty, foreign or cut off: it is made again."""
    store = ArrayStore(tmp_path)
    store.keep(KEY, np.zeros((8, 8)))
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:-10] if content is None else content)
    assert store.find(KEY) is None
    store.keep(KEY, np.ones(3))
    np.testing.assert_array_equal(store.find(KEY), np.ones(3))


def test_an_interrupted_array_is_not_there(tmp_path: Path) -> None:
    """What is written at the moment has another name, one of each process."""

    def write_half() -> None:
        with replacing(tmp_path / "a.npy", shared=True) as file:
            file.write(b"half")
            (part,) = tmp_path.iterdir()
            assert part.suffix == ".part" and part.name != "a.npy.part"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []
