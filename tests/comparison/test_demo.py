"""The demo as `make demo` and `sgseg demo` run it, on a config of seconds."""

import json
from pathlib import Path

import pytest

from sgseg.cli import main
from tests.conftest import tiny_config


@pytest.mark.slow
def test_it_compares_and_says_where_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Baselines, training and the score of eval.json, and pictures that are there."""
    tiny_config(tmp_path).dump(tmp_path / "tiny.py")
    run = tmp_path / "run"
    assert main(["demo", "--config", str(tmp_path / "tiny.py"), "--work-dir", str(run)]) == 0
    said = capsys.readouterr().out
    accuracy = json.loads((run / "eval.json").read_text())["accuracy"]
    assert f"SGSeg, trained      {accuracy:6.2f} %" in said
    assert all(name in said for name in ("majority class", "K-Means on colours", "untrained"))
    (picture,) = (line.split()[2] for line in said.splitlines() if line.startswith("Look at"))
    assert Path(picture).is_file() and (run / "pictures/curves.png").is_file()
