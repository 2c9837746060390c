"""TextureMosaic: the same on every machine, exactly labelled, and not solvable by colour."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import confusion_matrix

from sgseg.datasets import TextureMosaic
from sgseg.ops.matching import hungarian, scores
from sgseg.registry import DATASETS

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib, pathlib
from sgseg.datasets import TextureMosaic
# Importing mmengine lets yapf write its grammar below the home: not the data set's doing.
before = set(pathlib.Path.cwd().rglob("*"))
for seed in (0, 5):
    data = TextureMosaic(length=3, seed=seed)
    digest = hashlib.sha256()
    for index in range(3):
        item = data.load(index)
        digest.update(item["img"].tobytes() + item["gt_seg_map"].tobytes())
    print(digest.hexdigest())
print(len(set(pathlib.Path.cwd().rglob("*")) - before))
"""


def digest(seed: int, length: int = 3) -> str:
    """Hash of the first three mosaics of a set of ``length``."""
    data = TextureMosaic(length=length, seed=seed)
    found = hashlib.sha256()
    for index in range(3):
        item = data.load(index)
        found.update(item["img"].tobytes() + item["gt_seg_map"].tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def mosaics() -> list[dict[str, Any]]:
    """64 mosaics of the default kind."""
    data = TextureMosaic(length=64)
    return [data.load(index) for index in range(64)]


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """From a new process in an empty home: hashes of two sets, and how many files it wrote."""
    place = tmp_path_factory.mktemp("home")
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    settings = dict(HOME=str(place), PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=place,
        env=kept | settings | dict(PYTHONHASHSEED="7", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_same_mosaics_in_another_process(fresh_process: list[str]) -> None:
    """Seed and index alone decide a mosaic, in whatever process it is made."""
    assert fresh_process[:2] == [digest(0), digest(5)]


def test_nothing_is_downloaded_or_written(fresh_process: list[str]) -> None:
    """Home and working directory stay empty: no cache, no download."""
    assert fresh_process[2] == "0"


def test_length_does_not_change_the_mosaics() -> None:
    """A longer set begins with the shorter one; another seed is another set."""
    assert digest(0, length=3) == digest(0, length=50)
    assert digest(0) != digest(1)


def test_order_of_reading_does_not_matter() -> None:
    """Item 1 is the same whether item 0 was read before or not, and unlike item 0."""
    data, other = TextureMosaic(length=2), TextureMosaic(length=2)
    first = data.load(0)["img"]
    assert (data.load(1)["img"] == other.load(1)["img"]).all()
    assert (first != other.load(1)["img"]).any()


@pytest.mark.parametrize("size", [16, 64, 100])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_size_bands_and_length_are_respected(size: int, bands: int) -> None:
    """Image, labels and length are what was asked for."""
    data = TextureMosaic(length=2, size=size, bands=bands)
    item = data.load(1)
    assert len(data) == 2
    assert item["img"].shape == (size, size, bands) and item["img"].dtype == np.uint8
    assert item["gt_seg_map"].shape == (size, size)
    assert data[0]["inputs"].shape == (bands, size, size)
    with pytest.raises(IndexError):
        data[2]


def test_labels_are_the_classes(mosaics: list[dict[str, Any]]) -> None:
    """Labels run over exactly the three textures, and most mosaics hold more than one."""
    labels = np.stack([item["gt_seg_map"] for item in mosaics])
    assert set(np.unique(labels)) == {0, 1, 2}
    assert TextureMosaic(length=1).classes == ("brick", "grass", "gravel")
    assert np.mean([len(np.unique(label)) > 1 for label in labels]) > 0.6


def test_labels_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """With flat textures of far apart values, every single pixel shows its label's texture."""
    flat = dict(brick=0.0, grass=10.0, gravel=100.0)
    monkeypatch.setattr(
        "sgseg.datasets.texture_mosaic._equalised",
        lambda name: np.full((512, 512), flat[name], np.float32),
    )
    data, borders = TextureMosaic(length=64), 0
    for index in range(64):
        item = data.load(index)
        shown = [item["img"][item["gt_seg_map"] == kind] for kind in range(3)]
        ranges = [(values.min(), values.max()) for values in shown if values.size]
        for (_, highest), (lowest, _) in pairwise(ranges):
            assert highest < lowest
            borders += 1
    assert borders > 30


def test_colour_does_not_tell_the_classes(mosaics: list[dict[str, Any]]) -> None:
    """K-Means on colours stays at chance level: a method has to see texture."""
    image = np.stack([item["img"] for item in mosaics]).reshape(-1, 3).astype(np.float32)
    label = np.stack([item["gt_seg_map"] for item in mosaics]).reshape(-1)
    clusters = KMeans(3, n_init=2, random_state=0).fit(image[::16]).predict(image)
    counts = confusion_matrix(label, clusters).T
    assert scores(counts, hungarian(counts)).accuracy <= 0.45
    assert counts.sum(0).max() / counts.sum() < 0.45


def test_nothing_is_clipped(mosaics: list[dict[str, Any]]) -> None:
    """Light never blows out to white or black, where texture would be lost."""
    image = np.stack([item["img"] for item in mosaics])
    assert ((image == 0) | (image == 255)).mean() < 0.005
    assert image.std() > 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(length=0), "length = 0"),
        (dict(size=15), "size = 15"),
        (dict(cells=(0, 2)), "cells"),
        (dict(cells=(3, 2)), "cells"),
        (dict(scale=0.05), "scale = 0.05"),
        (dict(scale=1.5), "scale = 1.5"),
        (dict(size=600, scale=1), "scale"),
    ],
)
def test_bad_arguments_raise(arguments: dict[str, Any], message: str) -> None:
    """A bad argument is refused when the set is built, with its value and what is possible."""
    with pytest.raises(ValueError, match=f"TextureMosaic.*{message}"):
        TextureMosaic(**(dict(length=2) | arguments))


def test_size_up_to_the_photograph() -> None:
    """The documented limit works: a mosaic of 512 pixels at scale 1."""
    item = TextureMosaic(length=1, size=512, scale=1).load(0)
    assert item["img"].shape == (512, 512, 3)


def test_built_by_name_with_protocol() -> None:
    """A config names it as a string, and a score on it records what it was."""
    data = DATASETS.build(dict(type="TextureMosaic", length=5))
    assert data.protocol()["dataset"] == "TextureMosaic" and data.protocol()["items"] == 5
