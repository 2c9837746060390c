"""The notebooks run from a clean folder, cell after cell, and leave what they tell of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LEFT = {
    "photographs": ["maps/labels/rocket.png", "work_dirs/sgseg_diffgcn_folder/run_1/epoch_3.pth"],
    "aerial": ["maps/labels/field.tif"],
    "plug_in": ["runs/DiffGCNBlock/eval.json", "runs/MeanBlock/eval.json"],
}


def test_each_is_run() -> None:
    """No notebook is left out below."""
    assert {path.stem for path in (ROOT / "examples/notebooks").glob("*.ipynb")} == LEFT.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", LEFT)
def test_notebook(name: str, tmp_path: Path) -> None:
    """Its cells in one Python, on the images that it brings along."""
    cells = json.loads((ROOT / f"examples/notebooks/{name}.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=tmp_path, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr[-2000:]
    assert all((tmp_path / file).is_file() for file in LEFT[name])
