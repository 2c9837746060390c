"""The benchmark of start-up and memory per process."""

import os
from pathlib import Path

from benchmarks import ranks
from sgseg.datasets import COCOStuff15


def test_its_caches_are_read_as_any_other(tmp_path: Path) -> None:
    """As many items as asked for, each of its own name."""
    ranks.write_cache(tmp_path / "cache", 5)
    found = COCOStuff15(str(tmp_path / "cache"), splits=["train2017"])
    assert len(found) == len(set(found.names())) == 5
    assert found[4]["inputs"].shape == (3, ranks.SIDE, ranks.SIDE)


def test_private_memory_grows_with_what_a_process_writes() -> None:
    """By 64 MiB that are written."""
    before = ranks._private(os.getpid())
    kept = bytearray(b"\x01") * 2**26
    assert ranks._private(os.getpid()) - before > 0.9 * len(kept)
