"""Files that the documentation names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md")]
PAGES += [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts]
NAMED = re.compile(
    r"(?<![\w/])(?:tests|tools|configs|docs|examples|benchmarks|sgseg)/[\w/.-]+\.\w+"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_named_file_is_there(page: Path) -> None:
    """A path of the repository that a page names can be opened."""
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
