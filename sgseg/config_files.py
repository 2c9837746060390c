"""Config files by path or by name, those of the package and those that inherit from them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGED = Path(__file__).parent / "configs"
"""Folder of the package's own configs."""


def packaged_configs() -> dict[str, Path]:
    """Name and file of every config of the package that can be run, sorted."""
    parts = ("_base_", "tables")  # what configs are made of, and rows that name configs
    files = sorted(path for path in PACKAGED.glob("*/*.py") if path.parent.name not in parts)
    return {path.stem: path for path in files}


def find_config(given: str | Path) -> Path:
    """The file of a config.

    Args:
        given: its path; or, for one of the package, its name, or its path below ``configs/``.

    Raises:
        FileNotFoundError: if there is none; the nearest names are said.
    """
    path = Path(given)
    if path.is_file():
        return path
    known = packaged_configs()
    if len(path.parts) == 1 and path.stem in known and path.suffix in ("", ".py"):
        return known[path.stem]
    if path.parts[:1] == ("configs",) and (inside := PACKAGED.joinpath(*path.parts[1:])).is_file():
        return inside
    near = get_close_matches(path.stem, known, 3, 0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise FileNotFoundError(f"{given}: no such config; {meant}sgseg config --list names all")


def read_config(given: str | Path) -> Config:
    """A config file with what it inherits; ``given`` as in :func:`find_config`.

    Raises:
        FileNotFoundError: as :func:`find_config`.
        ValueError: for a file that is not Python.
    """
    from mmengine.config import Config  # heavy, and names are listed without it

    path = find_config(given)
    try:
        with _bases_by_import():
            return Config.fromfile(str(path))
    except SyntaxError as error:  # mmengine parses the text, and does not say of which file
        raise ValueError(
            f"{path}, line {error.lineno} (or a file that it inherits from): {error.msg}; a config "
            "is a Python file"
        ) from error


@contextmanager
def _bases_by_import() -> Iterator[None]:
    """Find ``from sgseg.configs... import *`` below ``read_base()`` where Python finds ``sgseg``.

    mmengine asks the metadata of the installed distribution instead, by ``pkg_resources``, which
    setuptools 82 has no more: of an editable install they name a folder without the package.
    """

    from mmengine.config import config

    def folder(package: str) -> str:
        spec = importlib.util.find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if not folders:
            raise ModuleNotFoundError(
                f"read_base() inherits from {package}, which Python does not find: install it, or "
                "put the folder it lies in into PYTHONPATH"
            )
        return folders[0]

    of_mmengine = config.get_installed_path
    config.get_installed_path = folder
    try:
        yield
    finally:
        config.get_installed_path = of_mmengine
