"""What `pip install sgseg` gives: the wheel, in an empty environment, outside of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT, TINY
from tests.test_config_files import MINE

WHERE = "import sgseg; print(sgseg.__file__)"
LEFT_OUT = ("work_dirs", "build", "dist", "_build", "*.egg-info", "__pycache__", ".*")


def call(*command: str | Path, cwd: Path, timeout: int = 1800, **env: str) -> str:
    """Run a command in a folder, without this checkout on the path; its output, both streams."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=bare | dict(OMP_NUM_THREADS="1") | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module", name="wheel")
def wheel_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of the source distribution that is built of a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    build = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    call(sys.executable, "-c", build, folder, cwd=tree)
    (packed,) = folder.glob("sgseg-*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    call(*pip, "--wheel-dir", folder, packed, cwd=folder)
    (wheel,) = folder.glob("sgseg-*.whl")
    return wheel


def test_files_of_the_wheel(wheel: Path) -> None:
    """The package with its configs and tables, its type mark and the licence; nothing else."""
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "sgseg = sgseg.cli:main" in packed.read(entry).decode()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        assert "License-Expression: Apache-2.0" in packed.read(metadata).decode()
    shipped = {name for name in names if ".dist-info/" not in name}
    kept = [path for path in (ROOT / "sgseg").rglob("*.py")] + [ROOT / "sgseg/py.typed"]
    wanted = {str(path.relative_to(ROOT)) for path in kept}
    configs = [p for p in (ROOT / "configs").rglob("*") if p.suffix in (".py", ".yml")]
    assert len(configs) > 50
    wanted |= {f"sgseg/{path.relative_to(ROOT)}" for path in configs}
    assert shipped == wanted
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_it_works_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """In an environment that holds the wheel and what it declares: train, test, predict, inherit.

    One test, for the environment takes minutes to make.
    """
    venv.create(tmp_path / "env", with_pip=True)
    commands = tmp_path / "env/bin"
    pip = (commands / "python", "-m", "pip", "install", "--quiet", "--no-compile")
    call(*pip, "--constraint", ROOT / "requirements/lock.txt", wheel, cwd=tmp_path)
    assert str(tmp_path / "env/lib") in call(commands / "python", "-c", WHERE, cwd=tmp_path)
    trains_and_predicts(tmp_path, commands / "sgseg")
    users_config_trains(tmp_path, commands / "sgseg")
    for path in next((tmp_path / "env/lib").glob("python*/site-packages/sgseg")).rglob("*.py"):
        assert "clone the repository" not in path.read_text(), path
    editable_install_inherits(tmp_path, commands)


def trains_and_predicts(folder: Path, sgseg: Path) -> None:
    """An epoch of the demo's config, its score once more, and a label map."""
    call(sgseg, "train", "sgseg_diffgcn_mosaic", "--epochs", "1", cwd=folder)
    run = folder / "work_dirs/sgseg_diffgcn_mosaic/latest"
    assert json.loads((run / "run.json").read_text())["ended"] == "finished"
    accuracy = json.loads((run / "eval.json").read_text())["accuracy"]
    said = call(sgseg, "test", run / "epoch_1.pth", cwd=folder)
    assert f"accuracy {accuracy:.2f} %" in said
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "a.png"), image)
    call(sgseg, "predict", run / "epoch_1.pth", "a.png", "--out", "maps", cwd=folder)
    labels = cv2.imread(str(folder / "maps/labels/a.png"))
    assert labels.shape == (40, 50, 3) and (folder / "maps/areas.csv").is_file()


def users_config_trains(folder: Path, sgseg: Path) -> None:
    """A config that inherits from ``sgseg.configs``, with a block of its own beside it."""
    mine = folder / "mine"
    mine.mkdir()
    for name in ("mean_block.py", "mean_block_mosaic.py"):
        shutil.copy(ROOT / "examples" / name, mine)
    tiny = [f"{key}={value}" for key, value in TINY.items()]
    command = (sgseg, "train", "mean_block_mosaic.py", "--cfg-options", *tiny)
    call(*command, cwd=mine, PYTHONPATH=str(mine))
    assert (mine / "work_dirs/mean_block_mosaic/latest/epoch_3.pth").is_file()


def editable_install_inherits(folder: Path, commands: Path) -> None:
    """The same form after ``pip install --editable``, where mmengine looks at a wrong folder."""
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    python = commands / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    call(*pip, "--editable", tree, cwd=folder)
    (folder / "mine.py").write_text(MINE)
    assert str(tree) in call(python, "-c", WHERE, cwd=folder)
    assert "knn=5" in call(commands / "sgseg", "config", "mine.py", cwd=folder)
