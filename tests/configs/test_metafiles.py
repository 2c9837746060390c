"""The metafiles of the methods: complete, true to the files, and with the paper's Table 1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*/metafile.yml"))
TABLE_1 = {
    "Random CNN": (19.4, 37.3, 28.3, 38.2),
    "K-Means": (14.1, 52.2, 35.3, 45.7),
    "Doersch": (23.1, 47.5, 37.2, 49.6),
    "Isola": (24.3, 54.0, 44.9, 63.9),
    "IIC": (27.7, 72.3, 45.4, 65.1),
    "AC": (30.8, 72.9, 49.3, 66.5),
    "InMARS": (31.0, 73.1, 47.3, 70.1),
    "InfoSeg": (38.8, 73.8, 57.3, 71.6),
    "SGSeg": (39.4, 74.6, 57.7, 71.8),
}
SETS = ("COCO-Stuff (15)", "COCO-Stuff3", "Potsdam", "Potsdam3")


def content(path: Path) -> dict[str, Any]:
    """A metafile."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_method_of_table_1_has_one() -> None:
    """Nine rows, nine files, one collection each."""
    names = [collection["Name"] for path in FILES for collection in content(path)["Collections"]]
    assert sorted(names) == sorted(TABLE_1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_names_what_there_is(path: Path) -> None:
    """Pages, code and configs exist; each config is listed once and says the published number."""
    found = content(path)
    (collection,) = found["Collections"]
    assert (ROOT / collection["README"]).is_file() and (ROOT / collection["Code"]).is_file()
    listed = [ROOT / model["Config"] for model in found["Models"]]
    assert all(config.is_file() for config in listed) and len(set(listed)) == len(listed)
    if path.parent.name != "sgseg":  # whose variants are the rows of Tables 2-6
        assert set(listed) == set(path.parent.glob("*.py"))
    published = {}
    for model, config in zip(found["Models"], listed, strict=True):
        assert model["In Collection"] == collection["Name"] and model["Name"] == config.stem
        for result in model.get("Results", ()):
            number = result["Metrics"]["Published accuracy"]
            if number is None:  # a set that the papers do not have
                continue
            published[result["Dataset"]] = number
            assert f"Table 1: {number} %" in re.sub(r"\s+", " ", config.read_text())
    assert tuple(published[name] for name in SETS) == TABLE_1[collection["Name"]]


@pytest.mark.parametrize("method", ["inmars", "infoseg"])
def test_reconstructions_say_so(method: str) -> None:
    """Metafile and page name a reconstruction what it is."""
    for path in (ROOT / f"configs/{method}/metafile.yml", ROOT / f"docs/methods/{method}.md"):
        assert "reconstruction from the description" in path.read_text().lower()
