"""How the parts of the project hang together: layers, light imports, declared packages, tests."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"ops", "registry", "config_files"},
    {"structures", "io"},
    {"labelmaps", "models.layers"},
    {
        *("models.backbones", "models.necks", "models.decode_heads", "models.losses"),
        *("models.preprocessor", "models.views", "models.tasks"),
    },
    {"models.segmentors", "models"},
    {"datasets", "evaluation", "visualization"},
    {"engine"},
    {"training", "testing"},
    {"inference"},
    {"cost", "comparison", "app"},
    {"cli"},
]
"""A row imports only rows above it; nothing imports benchmarks, examples and tools."""
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
GATHER = {"sgseg", "sgseg.models"}
"""Packages whose ``__init__`` names what is below it."""
PACKAGE = sorted(p for p in (ROOT / "sgseg").rglob("*.py") if "configs" not in p.parts)
OUTSIDE = sorted(
    p for room in ("benchmarks", "examples", "tools") for p in (ROOT / room).glob("*.py")
)


def module_name(path: Path) -> str:
    """``sgseg.ops.image`` of ``sgseg/ops/image.py``; a package has the name of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The layer's member that a module of sgseg belongs to."""
    parts = module.split(".")[1:]
    deep = ".".join(parts[:2])
    return deep if deep in RANK else "".join(parts[:1])


def imported(path: Path, text: str | None = None) -> Iterator[str]:
    """Modules that a file imports, anywhere in it, by a statement or ``import_module``."""
    module = module_name(path)
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text() if text is None else text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            inside = [f"{base}.{name.name}" for name in node.names]
            modules = [name for name in inside if exists(name)]
            yield from modules
            if len(modules) < len(inside):
                yield base
        elif isinstance(node, ast.Call) and called(node) == "import_module":
            name = node.args[0]
            if isinstance(name, ast.JoinedStr):  # import_module(f"sgseg.cli.{name}")
                name = name.values[0]
            if isinstance(name, ast.Constant):
                yield str(name.value).rstrip(".")


def called(node: ast.Call) -> str:
    """Last part of the name of what is called."""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def exists(module: str) -> bool:
    """Whether a dotted name is a module of this repository, not a name within one."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("path", PACKAGE, ids=module_name)
def test_imports_go_upwards(path: Path) -> None:
    """A part can be read, tested and replaced without what is built on it."""
    module = module_name(path)
    names = [
        name for name in imported(path) if name.split(".")[0] in ("sgseg", "benchmarks", "tests")
    ]
    assert all(name.startswith("sgseg") for name in names), f"{module} imports {names}"
    if module in GATHER or module == "sgseg.__main__":
        return
    own = part_of(module)
    for name in names:
        other = part_of(name)
        below = other == own or not other or RANK[other] < RANK[own]
        assert below, f"{module} imports {name}"


@pytest.mark.parametrize("path", OUTSIDE, ids=module_name)
def test_what_stands_outside(path: Path) -> None:
    """Benchmarks, tools and examples use the package; benchmarks tests/reference too."""
    room = path.relative_to(ROOT).parts[0]
    own = {"benchmarks": {"benchmarks"}, "tools": {"benchmarks"}}.get(room, set())
    for name in imported(path):
        assert name.split(".")[0] not in {"benchmarks", "tools", "examples"} - own, name
        if name.split(".")[0] == "tests":
            assert room == "benchmarks" and name.startswith("tests.reference"), name


def test_every_import_is_seen() -> None:
    """Within functions, by plain statements, of whole modules, and by import_module."""
    text = (
        "from . import image\nimport sgseg.cost.plan\nfrom .graph import knn\n"
        "def late():\n    from ..training import train, config\n"
        "    importlib.import_module('sgseg.testing')\n    import_module(f'sgseg.cli.{name}')\n"
    )
    assert set(imported(ROOT / "sgseg/ops/some.py", text)) == {
        *("sgseg.ops.image", "sgseg.cost.plan", "sgseg.ops.graph", "sgseg.training"),
        *("sgseg.training.config", "sgseg.testing", "sgseg.cli"),
    }


def test_import_is_light() -> None:
    """`import sgseg` pulls in neither torch_geometric, matplotlib nor cv2, nor torch itself."""
    heavy = ("torch", "torch_geometric", "matplotlib", "cv2", "mmengine", "numpy")
    code = f"import sgseg, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_tools_are_doorways() -> None:
    """A tool hands its arguments to the command; the work is importable from Python."""
    for path in (ROOT / "tools").glob("*.py"):
        assert len(path.read_text().splitlines()) <= (45 if path.stem == "benchmark" else 10), path


def plain(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", name)[0]).lower()


def test_every_package_is_declared() -> None:
    """What sgseg/ imports is a dependency; that of an extra, if only functions import it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {plain(name) for name in project["dependencies"]}
    extras = {plain(n) for names in project["optional-dependencies"].values() for n in names}
    distributions = importlib.metadata.packages_distributions()
    for path in PACKAGE:
        at_import = {
            name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
            for name in (
                [node.module] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
            )
        }
        for name in set(imported(path)):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in ("sgseg", ""):
                continue
            needed = {plain(each) for each in distributions.get(top, [top])}
            allowed = base if name in at_import else base | extras
            assert needed & allowed, f"{module_name(path)} imports {top}, of {needed}: undeclared"


def test_the_lock_fits_what_is_declared() -> None:
    """Every dependency has one exact version in the lock, and Python is said once the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {
        plain(line)
        for line in (ROOT / "requirements/lock.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    wanted = {plain(name) for name in project["project"]["dependencies"]}
    assert wanted <= locked
    assert project["project"]["requires-python"] == ">=3.11"
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert project["tool"]["mypy"]["python_version"] == "3.11"
    assert "Programming Language :: Python :: 3.11" in project["project"]["classifiers"]
