"""The layers of the package: a row imports only rows above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"ops", "structures", "registry"},
    {"io"},
    {"labelmaps", "models.layers"},
    {
        "models.backbones",
        "models.necks",
        "models.decode_heads",
        "models.losses",
        "models.preprocessor",
        "models.views",
        "models.tasks",
    },
    {"models.segmentors", "models"},
    {"datasets", "evaluation", "visualization"},
    {"engine"},
    {"training", "testing"},
    {"inference"},
    {"cost", "comparison"},
]
RANK = {member: rank for rank, layer in enumerate(LAYERS) for member in layer}


def member(module: str) -> str:
    """The layer member that a dotted module below sgseg belongs to."""
    parts = module.split(".")
    deep = ".".join(parts[:2])
    return deep if deep in RANK else parts[0]


def imports(path: Path) -> list[str]:
    """Modules below sgseg that a file imports, absolute or relative."""
    package = path.relative_to(ROOT / "sgseg").with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.level:
            found.append(".".join((*package[: len(package) - node.level + 1], node.module)))
        elif node.module.startswith("sgseg."):
            found.append(node.module.removeprefix("sgseg."))
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "sgseg").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_go_upwards(path: Path) -> None:
    """A part can be read, tested and replaced without what is built on it."""
    parts = path.relative_to(ROOT / "sgseg").with_suffix("").parts
    if parts in (("__init__",), ("models", "__init__")):
        return  # these gather the parts below them
    own = member(".".join(parts))
    for module in imports(path):
        other = member(module)
        assert other == own or RANK[other] < RANK[own], f"{own} imports {module}"


def test_import_is_light() -> None:
    """`import sgseg` pulls in neither torch_geometric, matplotlib nor cv2."""
    code = "import sgseg, sys; print([m for m in ('torch','torch_geometric','matplotlib','cv2') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_tools_are_thin() -> None:
    """A tool parses arguments and makes one call; the work is importable from Python."""
    long = {
        p.name: n
        for p in (ROOT / "tools").glob("*.py")
        if (n := len(p.read_text().splitlines())) > 60
    }
    assert not long
