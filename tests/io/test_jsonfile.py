"""JSON files: whole, readable by any program, and refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sgseg.io.jsonfile import read_json, read_json_if_whole, write_json


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Numbers that JSON has no word for become null; keys become text; folders are made."""
    path = tmp_path / "new" / "a.json"
    write_json(path, {1: (math.nan, [math.inf, 2.5]), "ä": dict(x=None, y=True)})
    assert read_json(path) == {"1": [None, [None, 2.5]], "ä": dict(x=None, y=True)}
    strict = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert strict == read_json_if_whole(path)
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written changes nothing."""
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize("content", ["", '{"epoch": 3', "<html>", b"\xff\xfe\x00"])
def test_what_is_no_json_is_named(tmp_path: Path, content: str | bytes) -> None:
    """A cut-off file is an error that names it, or None where that is asked for."""
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"a\.json: no JSON"):
        read_json(path)
    assert read_json_if_whole(path) is None
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")
    assert read_json_if_whole(tmp_path / "b.json") is None


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"0": "sky"}')
    assert read_json(tmp_path / "a.json") == {"0": "sky"}
