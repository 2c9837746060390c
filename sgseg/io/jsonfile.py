"""JSON files, written whole or not at all, and read with an error that names the file."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from .atomic import write_atomically


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file holds something else, or a part of it only.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
        comma = " (a comma before a closing bracket)" if re.search(r",\s*[}\]]", text) else ""
        raise ValueError(f"{path}: no JSON ({error}){comma}") from error


def read_json_if_whole(path: str | Path) -> Any:
    """The content of a JSON file, or None where it is missing or was cut off."""
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return None


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content``, see :func:`json_safe`, so that ``path`` never holds a part of it."""
    write_atomically(Path(path), json.dumps(json_safe(content), indent=1).encode())


def json_safe(value: Any) -> Any:
    """``value`` with nan and infinity as None, which every JSON reader takes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value
