"""The naming page's state: what it shows, changes and saves is what the images hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgseg.app import Naming
from sgseg.app.naming import MOST_PARTS
from sgseg.app.whole_folder import whole_folder
from tests.app.painted import CLUSTERS, SIZE, by_colour, paint, painting, segmenter_of

COUNT = 5


@pytest.fixture(scope="module", name="photographs")
def photographs_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Painted images and a checkpoint in ``run``."""
    folder = tmp_path_factory.mktemp("painted")
    paint(folder / "images", COUNT)
    by_colour(folder)
    return folder


@pytest.fixture(name="naming")
def naming_fixture(photographs: Path) -> Naming:
    """A page's state that nobody has touched."""
    segmenter = segmenter_of(photographs / "run/epoch_1.pth", photographs)
    return Naming(segmenter, photographs / "images")


def test_it_shows_what_is_painted(naming: Naming) -> None:
    """Shares, the cluster under a pixel and the surest places are those of the paintings."""
    truth = CLUSTERS[[painting(number) for number in range(COUNT)]]
    shares = np.bincount(truth.ravel()) / truth.size
    assert [row.share for row in naming.rows()] == pytest.approx(shares)
    for y, x in [(0, 0), (10, 50), (47, 63), (40, 5)]:
        assert naming.cluster_at(3, x, y) == str(CLUSTERS[painting(3)[y, x]])
    with pytest.raises(ValueError, match="no pixel at 64, 0: the image has"):
        naming.cluster_at(0, SIZE[1], 0)
    for key, band in [("0", 0), ("1", 1), ("2", 2)]:
        crops = naming.crops(key)
        assert len(crops) == 12
        assert all(crop.mean((0, 1)).argmax() == band for crop in crops[:4])


def test_names_join_and_come_back(naming: Naming) -> None:
    """Equal names are one class with one colour; undo goes back step by step, then says so."""
    naming.rename("0", " sky ")
    naming.rename("2", "sky")
    rows = {row.key: row for row in naming.rows()}
    assert (rows["0"].name, rows["0"].joined, rows["1"].joined) == ("sky", ("2",), ())
    assert rows["0"].colour == rows["2"].colour != rows["1"].colour
    assert naming.classes == ["sky", "cluster_1"]
    shown = naming.map(0, opacity=1.0)
    joined = painting(0) != 1
    joined &= painting(0) != 2
    assert len(np.unique(shown[joined], axis=0)) == 1
    naming.undo()
    naming.undo()
    assert naming.classes == ["cluster_0", "cluster_1", "cluster_2"]
    with pytest.raises(ValueError, match="nothing to undo"):
        naming.undo()


BAD = {" ": "is empty", "a" * 61: "61 letters", "a\nb": "cannot be shown", "\u202eab": "u202e"}


@pytest.mark.parametrize("name", BAD, ids=["empty", "long", "line break", "direction"])
def test_bad_names_change_nothing(naming: Naming, name: str) -> None:
    """What cannot stand in a table or on a map is refused; any script may be written."""
    with pytest.raises(ValueError, match=BAD[name]):
        naming.rename("0", name)
    assert not naming.unsaved
    assert naming.rename("0", "Wald/森 <b>") == "Wald/森 <b>"


def labels(photographs: Path, number: int, **options: Any) -> tuple[np.ndarray, list[str]]:
    """Names of an image's pixels as a new segmenter gives them."""
    segmenter = segmenter_of(photographs / "run/epoch_1.pth", photographs, **options)
    result = segmenter(photographs / f"images/{number:03}.png")
    return np.array(segmenter.classes)[result.labels], segmenter.classes


@pytest.mark.parametrize("tile", [None, 32], ids=["whole", "in windows"])
def test_a_split_cluster_survives(
    naming: Naming, photographs: Path, tmp_path: Path, tile: int | None
) -> None:
    """The two greens come apart, on the page and, by names.json, in a prediction."""
    parts = naming.split("1", 2)
    assert (parts, naming.keys) == (["1.1", "1.2"], ["0", "1.1", "1.2", "2"])
    y, x = np.argwhere(painting(0) == 1)[0]
    dark = naming.cluster_at(0, x, y)
    for part in parts:
        naming.rename(part, "dark green" if part == dark else "light green")
    naming.save(tmp_path / "names.json")
    assert not naming.unsaved
    expected = np.array(["cluster_0", "dark green", "light green", "cluster_2"])
    for number in range(COUNT):
        at = [[naming.cluster_at(number, x, y) for x in range(SIZE[1])] for y in range(SIZE[0])]
        page = np.vectorize(naming.now.names.get)(at)
        assert (page == expected[painting(number)]).all()
        found, classes = labels(photographs, number, names=tmp_path / "names.json", tile=tile)
        assert (found == expected[painting(number)]).all()
        assert sorted(classes) == sorted(expected)


def test_a_split_is_undone(naming: Naming) -> None:
    """Of a part too; the maps are those of before."""
    before = [image.channels.copy() for image in naming.images]
    naming.split("1", 2)
    naming.split("1.1", 2)
    assert naming.keys == ["0", "1.1.1", "1.1.2", "1.2", "2"]
    naming.undo()
    assert naming.keys == ["0", "1.1", "1.2", "2"]
    naming.undo()
    assert naming.keys == ["0", "1", "2"]
    for image, channels in zip(naming.images, before, strict=True):
        assert (image.channels == channels).all()
    assert naming.split("1", 2) == ["1.1", "1.2"]


def test_what_cannot_be_split(naming: Naming) -> None:
    """An unknown cluster, and too many parts, are refused before anything changes."""
    with pytest.raises(ValueError, match="no cluster '7'"):
        naming.split("7")
    with pytest.raises(ValueError, match=f"choose 2 to {MOST_PARTS}"):
        naming.split("1", 1)
    assert naming.keys == ["0", "1", "2"]


def test_it_goes_on_where_it_was_saved(naming: Naming, photographs: Path, tmp_path: Path) -> None:
    """Names and splits are read again; those of other weights are refused, by predict as well."""
    file = tmp_path / "names.json"
    naming.split("1", 3)
    naming.rename("0", "roof")
    naming.save(file)
    segmenter = segmenter_of(photographs / "run/epoch_1.pth", photographs)
    again = Naming(segmenter, photographs / "images", table=file)
    assert [tuple(row) for row in again.rows()] == [tuple(row) for row in naming.rows()]
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | dict(weights_sha256="0" * 64)))
    with pytest.raises(ValueError, match="not of these weights"):
        Naming(segmenter, photographs / "images", table=file)
    with pytest.raises(ValueError, match="not of these weights"):
        labels(photographs, 0, names=file)
    content["splits"][0]["centres"] = [[0.0, 1.0]] * 3
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="split by 2 features, this model has 3"):
        labels(photographs, 0, names=file)


def test_images_are_taken_evenly_and_faults_are_named(photographs: Path, tmp_path: Path) -> None:
    """A large folder is sampled; what cannot be read is told, and stops nothing unless all is."""
    segmenter = segmenter_of(photographs / "run/epoch_1.pth", photographs)
    paint(tmp_path / "many", 9)
    (tmp_path / "many/004.png").write_bytes(b"no image")
    naming = Naming(segmenter, tmp_path / "many", 3)
    assert [image.path.name for image in naming.images] == ["000.png", "008.png"]
    assert [path.name for path in naming.faults] == ["004.png"]
    assert naming.total == 9
    with pytest.raises(ValueError, match="none of 1 images can be read"):
        Naming(segmenter, tmp_path / "many/004.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        Naming(segmenter, tmp_path / "empty")


def test_downloads_are_what_predict_writes(naming: Naming, tmp_path: Path) -> None:
    """Areas of the whole folder under the names of the page, and maps in a zip."""
    naming.rename("0", "brick")
    files, sentence = whole_folder(naming, tmp_path, lambda results, total: results)
    assert [file.name for file in files[:2]] == ["areas.csv", "maps.zip"]
    assert sentence.startswith(f"Maps and areas of {COUNT} images are ready.")
    last = files[0].read_text().splitlines()[-3:]
    pixels = np.bincount(CLUSTERS[[painting(n) for n in range(COUNT)]].ravel())
    assert [line.split(",")[1:4] for line in last] == [
        [str(value), name, str(pixels[value])]
        for value, name in enumerate(["brick", "cluster_1", "cluster_2"])
    ]
