"""The benchmark of start-up and memory per process."""

import os
from pathlib import Path

import numpy as np

from benchmarks import ranks
from sgseg.datasets import COCOStuff15


def test_its_caches_are_read_as_any_other(tmp_path: Path) -> None:
    """As many items as asked for, each of its own name."""
    ranks.write_cache(tmp_path / "cache", 5)
    found = COCOStuff15(str(tmp_path / "cache"), splits=["train2017"])
    assert len(found) == len(set(found.names())) == 5
    assert found[4]["inputs"].shape == (3, ranks.SIDE, ranks.SIDE)


def test_memory_grows_with_what_a_process_writes(tmp_path: Path) -> None:
    """By 64 MiB that are written, and not by as much that is read from a mapped file."""
    (tmp_path / "file").write_bytes(bytes(2**26))
    before = ranks.memory(os.getpid())
    kept = bytearray(b"\x01") * 2**26
    assert ranks.memory(os.getpid()) - before > 0.9 * len(kept)
    before = ranks.memory(os.getpid())
    mapped = np.memmap(tmp_path / "file", np.uint8, "r")
    assert not mapped.any() and ranks.memory(os.getpid()) - before < 0.1 * mapped.size
