"""Configs are found by path and by name, and inherited from wherever the user's own file lies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sgseg.config_files import PACKAGED, find_config, packaged_configs, read_config
from tests.conftest import ROOT

MINE = """
from mmengine.config import read_base

with read_base():
    from sgseg.configs.sgseg.sgseg_diffgcn_mosaic import *

model.neck.knn = 5
"""


def test_names_are_unique() -> None:
    """No two configs of the package share a name, so a name is enough."""
    parts = ("_base_", "tables")
    files = [path for path in (ROOT / "configs").glob("*/*.py") if path.parent.name not in parts]
    assert sorted(packaged_configs()) == sorted(path.stem for path in files)


@pytest.mark.parametrize(
    "given",
    [
        "sgseg_diffgcn_folder",
        "sgseg_diffgcn_folder.py",
        "configs/sgseg/sgseg_diffgcn_folder.py",
        "configs/_base_/datasets/folder.py",
    ],
)
def test_a_config_of_the_package_from_any_folder(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name or by its path in the repository; a file of that path goes first."""
    monkeypatch.chdir(tmp_path)
    assert find_config(given).samefile(next(PACKAGED.rglob(f"*/{Path(given).stem}.py")))
    own = tmp_path / given
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("")
    assert find_config(given).samefile(own)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sgseg_difgcn_folder", "did you mean sgseg_diffgcn_folder"),
        ("elsewhere/sgseg_diffgcn_folder.py", "no such config; did you mean sgseg_diffgcn_folder"),
        ("configs/none.py", "configs/none.py: no such config; sgseg config --list"),
        ("table1", "no such config"),
    ],
)
def test_what_is_no_config(given: str, said: str) -> None:
    """The nearest names are said; a path elsewhere is not taken for a name."""
    with pytest.raises(FileNotFoundError, match=said):
        find_config(given)


def test_a_users_config_inherits_by_import(tmp_path: Path) -> None:
    """Where `sgseg` is found by PYTHONPATH alone, in a process that starts elsewhere."""
    (tmp_path / "mine.py").write_text(MINE)
    code = "from sgseg.config_files import read_config\n"
    code += "print(read_config('mine.py').model.neck.knn)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.strip() == "5", done.stderr


@pytest.mark.parametrize(
    ("module", "said"),
    [("nowhere.a.b", "from nowhere, which Python does not"), ("sgseg.configs.sgseg.no", "no.py")],
)
def test_a_missing_base_is_named(tmp_path: Path, module: str, said: str) -> None:
    """A package that is not installed, and a config that the package has not."""
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.replace("sgseg.configs.sgseg.sgseg_diffgcn_mosaic", module))
    with pytest.raises(Exception, match=said):
        read_config(mine)
