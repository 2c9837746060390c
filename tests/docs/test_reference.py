"""The reference documents every registered class and every public function."""

import ast
import re
from pathlib import Path

import pytest

from sgseg import registry

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
DOCUMENTED = set(re.findall(r"automodule:: (\S+)", "\n".join(page.read_text() for page in PAGES)))


def has_public(path: Path) -> bool:
    """Whether a module defines a public class or function."""
    body = ast.parse(path.read_text()).body
    kinds = (ast.ClassDef, ast.FunctionDef)
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in body)


def module_name(path: Path) -> str:
    """Dotted name of a module of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [
    module_name(path)
    for path in sorted((ROOT / "sgseg").rglob("*.py"))
    if "configs" not in path.relative_to(ROOT).parts and has_public(path)
]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_is_in_the_reference(module: str) -> None:
    """What can be imported can be looked up."""
    assert module in DOCUMENTED


def test_nothing_is_documented_that_is_gone() -> None:
    """A page that names a module names one that is there."""
    assert sorted(DOCUMENTED - set(MODULES)) == []


def test_every_registered_class_is_in_the_reference() -> None:
    """A class that a config can name is found where it is documented."""
    missing = []
    for kinds in registry.REGISTRIES:
        kinds.import_from_location()
        own = [k for k in kinds.module_dict.values() if k.__module__.startswith("sgseg")]
        missing += [k.__name__ for k in own if k.__module__ not in DOCUMENTED]
    assert missing == []
