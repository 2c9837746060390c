"""Every module of the package has a test file of its name, or its reason in one list."""

from __future__ import annotations

from pathlib import Path

from tests.test_layers import PACKAGE, ROOT

TESTED_ELSEWHERE: dict[str, str] = {}
"""Module -> which tests prove it, where a file of its own would only repeat them."""


def test_every_module_has_a_test_file() -> None:
    """tests/ROOM/test_NAME.py for sgseg/ROOM/.../NAME.py, so that what proves a file is found."""
    rooms = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    lacking = set()
    for path in PACKAGE:
        inside = path.relative_to(ROOT / "sgseg")
        if path.stem.startswith("__"):
            continue  # names of what lies beside, and the command line's entry
        near = [Path(*inside.parts[:n], f"test_{path.stem}.py") for n in range(len(inside.parts))]
        if not rooms.intersection(near):
            lacking.add(inside.with_suffix("").as_posix())
    unexplained = sorted(lacking - TESTED_ELSEWHERE.keys())
    assert not unexplained, "no tests/.../test_<name>.py, and no reason in the list"
    assert TESTED_ELSEWHERE.keys() <= lacking, sorted(TESTED_ELSEWHERE.keys() - lacking)


def test_reasons_name_tests_that_exist() -> None:
    """A reason names files, and they are there."""
    for module, reason in TESTED_ELSEWHERE.items():
        named = [word.strip(",;()") for word in reason.split() if word.startswith("tests/")]
        assert named, f"{module}: name the tests"
        for name in named:
            assert (ROOT / name.rstrip(".,")).exists(), f"{module}: {name}"
