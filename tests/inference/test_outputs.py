"""The files of a prediction, read by other tools, and going on where it stopped."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sgseg.inference import BadImagesError, Prediction, Segmenter, segment_folder
from sgseg.inference.areas import areas
from sgseg.inference.console import predict_aloud
from sgseg.inference.outputs import Look, output_names
from sgseg.visualization import class_colours
from tests.conftest import ROOT
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import scene

NAMES = ["brick", "grass", "gravel"]
LABELS_ONLY = Look(pictures=False)


@pytest.fixture(scope="module", name="checkpoint")
def checkpoint_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with named classes."""
    config = small_config()
    return save(small_model(config), tmp_path_factory.mktemp("model") / "small.pth", NAMES)


@pytest.fixture(scope="module", name="segmenter")
def segmenter_fixture(checkpoint: Path) -> Segmenter:
    """The small model at the images' own size."""
    return Segmenter(checkpoint, small_config(), side=0)


def draw(folder: Path, *names: str, size: tuple[int, int] = (24, 32)) -> Path:
    """A folder of images that differ."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), scene(*size) // (number + 1))
    return folder


def draw_raster(path: Path, epsg: int = 32633) -> np.ndarray:
    """A GeoTIFF of 24 x 32 pixels of 0.5 x 2 metres; its first six rows are no data."""
    image = np.maximum(scene(24, 32), 1)
    image[:6] = 0
    scale = [(33550, "d", 3, (0.5, 2.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, epsg)
    tags = [*scale, (34735, "H", len(keys), keys, True), (42113, "s", 0, "0", True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="rgb", extratags=tags)
    return image


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def label_map(path: Path) -> np.ndarray:
    """An indexed PNG as Pillow reads it."""
    with Image.open(path) as file:
        assert file.mode == "P"
        return np.asarray(file)


def contents(out: Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


PARTS = st.lists(st.text("ab._A", min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.lists(PARTS, max_size=12))
def test_no_two_images_share_a_name(parts: list[list[str]]) -> None:
    """Whatever they are called, also where A and a are one; plain ones keep the plain rule."""
    images = list(dict.fromkeys("/".join(p) for p in parts if not {".", ".."} & set(p)))
    names = output_names(images)
    assert len({name.casefold() for name in names.values()}) == len(images)
    some = output_names(["a/x.jpg", "b.jpg", "b.png"])
    assert some == {"a/x.jpg": "a/x", "b.jpg": "b", "b.png": "b.png"}
    again = output_names(["b.png"], {"b.jpg": "b", "b.png": "b.png"})
    assert again["b.png"] == "b.png"  # those of an earlier call stay
    long = output_names([f"{'é' * 120}{i}.png" for i in (1, 2)])
    assert len(set(long.values())) == 2
    assert all(len(name.encode()) < 200 for name in long.values())


def test_every_image_has_its_own_files(segmenter: Segmenter, tmp_path: Path) -> None:
    """Label map, overlay and picture at the path of the image, alike in name or not."""
    names = ("img.1.jpg", "a/x.png", "a__x.png", "b.JPG", "B.jpg", "b.png")
    folder = draw(tmp_path / "in", *names)
    out = tmp_path / "out"
    found = dict(segment_folder(segmenter, folder, out))
    assert {path.relative_to(folder).as_posix() for path in found} == set(names)
    written = contents(out)
    for where in ("labels", "overlays", "pictures"):
        mine = [name for name in written if name.startswith(where)]
        assert len({name.casefold() for name in mine}) == len(names)
        assert {f"{where}/img.1.png", f"{where}/a/x.png", f"{where}/a__x.png"} <= set(mine)
    labels = label_map(out / "labels/a/x.png")
    np.testing.assert_array_equal(labels, segmenter(folder / "a/x.png").labels)
    with Image.open(out / "overlays/a/x.png") as file:
        assert file.size == (32, 24) and file.mode == "RGB"
    assert json.loads((out / "classes.json").read_text()) == dict(zip("012", NAMES))


def test_colours_go_with_names(segmenter: Segmenter, checkpoint: Path, tmp_path: Path) -> None:
    """The map shows them; another order, a class that joins and another model change none."""
    folder = draw(tmp_path / "in", "a.png")
    list(Prediction(segmenter, folder, tmp_path / "out", look=LABELS_ONLY))
    labels = label_map(tmp_path / "out/labels/a.png")
    with Image.open(tmp_path / "out/labels/a.png") as file:
        shown = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(shown, class_colours(NAMES)[labels])
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == len(np.unique(labels)) > 1
    other = class_colours(["gravel", "brick"])
    np.testing.assert_array_equal(other[:2], class_colours(NAMES)[[2, 0]])
    joined = Segmenter(
        checkpoint, small_config(), names={"0": "gravel", "1": "water", "2": "gravel"}
    )
    np.testing.assert_array_equal(joined.colours[0], class_colours(NAMES)[2])
    many = class_colours([f"class {number}" for number in range(60)])[:60]
    assert len(np.unique(many, axis=0)) == 60
    own = class_colours(["water", "b"], {"b": "#010203"})
    assert own[1].tolist() == [1, 2, 3]
    for wrong, why in (({"c": "red"}, "no class 'c'"), ({"b": "reddish"}, "'reddish' of 'b'")):
        with pytest.raises(ValueError, match=why):
            class_colours(["water", "b"], wrong)


def test_a_bad_image_stops_nothing(segmenter: Segmenter, tmp_path: Path) -> None:
    """The others are segmented; it stands in the error at the end, and is tried again."""
    folder = draw(tmp_path / "in", "a.png", "b.png", "c.png")
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[:90])
    cv2.imwrite(str(folder / "d.png"), scene(24, 32).astype(np.uint16) * 257)
    for size in (1, 4):
        out = tmp_path / f"out{size}"
        results = iter(Prediction(segmenter, folder, out, size, LABELS_ONLY))
        assert [next(results).path.name for _ in range(2)] == ["a.png", "c.png"]
        with pytest.raises(BadImagesError, match=r"2 of 4 images were not segmented") as error:
            next(results)
        assert {path.name for path in error.value.faults} == {"b.png", "d.png"}
        assert {row["image"] for row in table(out / "areas.csv")} == {
            "a.png",
            "c.png",
            "all images",
        }
    (folder / "b.png").write_bytes(whole)
    with pytest.raises(SystemExit, match="1 of 4 images were not segmented") as left:
        predict_aloud(Prediction(segmenter, folder, out, 4, LABELS_ONLY))
    assert "d.png: holds uint16" in str(left.value)
    assert sorted(contents(out / "labels")) == ["a.png", "b.png", "c.png"]


def test_names_that_are_no_text(segmenter: Segmenter, tmp_path: Path) -> None:
    """A name of bytes that are not UTF-8, which OpenCV dies of, has its files like any other."""
    good = draw(tmp_path / "in", "a.png") / "a.png"
    odd = os.fsdecode(os.fsencode(tmp_path / "in") + b"/b\xff.png")
    shutil.copy(good, odd)
    for _ in range(2):
        list(Prediction(segmenter, tmp_path / "in", tmp_path / "out"))
    for folder in ("labels", "overlays", "pictures"):
        assert len(list((tmp_path / "out" / folder).iterdir())) == 2


def test_what_cannot_be_meant_is_said(segmenter: Segmenter, tmp_path: Path) -> None:
    """A file for a folder, no image at a time: a sentence, and nothing is written."""
    folder = draw(tmp_path / "in", "a.png")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file; name a folder"):
        Prediction(segmenter, folder, tmp_path / "file")
    with pytest.raises(ValueError, match="--batch-size 0"):
        Prediction(segmenter, folder, tmp_path / "out", batch_size=0)
    with pytest.raises(ValueError, match=r"--opacity 2: 0"):
        Prediction(segmenter, folder, tmp_path / "out", look=Look(2))
    with pytest.raises(ValueError, match="would be taken for true labels"):
        Prediction(segmenter, folder, folder)
    assert not (tmp_path / "out").exists()


def test_a_second_call_does_what_is_missing(
    segmenter: Segmenter, checkpoint: Path, tmp_path: Path
) -> None:
    """New, changed and lost images; nothing else; other arguments are refused by one sentence."""
    folder, out = draw(tmp_path / "in", "a.png", "b.png", "c.png"), tmp_path / "out"

    def done(model: Segmenter = segmenter, **options: Any) -> list[str]:
        return [r.path.name for r in Prediction(model, folder, out, look=LABELS_ONLY, **options)]

    assert done() == ["a.png", "b.png", "c.png"] and done() == []
    draw(folder, "d.png")
    (out / "labels/b.png").unlink()
    cv2.imwrite(str(folder / "c.png"), scene(30, 40))
    assert done() == ["b.png", "c.png", "d.png"]
    assert label_map(out / "labels/c.png").shape == (30, 40)
    other = Segmenter(checkpoint, small_config(), side=16)
    with pytest.raises(FileExistsError, match=r"other arguments \(side 0, now 16\)"):
        done(other)
    second = save(small_model(small_config(), 1), tmp_path / "other.pth", NAMES)
    retrained = Segmenter(second, small_config(), side=0)
    with pytest.raises(FileExistsError, match="another model"):
        done(retrained)
    assert done(other, overwrite=True) == ["a.png", "b.png", "c.png", "d.png"]


def test_files_of_others_are_left_alone(segmenter: Segmenter, tmp_path: Path) -> None:
    """True labels in OUT/labels, and OUT among the images."""
    folder = draw(tmp_path / "in", "a.png")
    own = draw(tmp_path / "out", "labels/a.png") / "labels/a.png"
    before = own.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"no prediction names \(labels/a\.png\)"):
            Prediction(segmenter, folder, tmp_path / "out", overwrite=overwrite)
    assert own.read_bytes() == before
    assert len(list(Prediction(segmenter, folder, folder / "maps"))) == 1
    assert list(Prediction(segmenter, folder, folder / "maps")) == []


def test_areas_of_a_folder(segmenter: Segmenter, tmp_path: Path) -> None:
    """Pixels, shares of the valid ones, square metres, and all images; no data counts nowhere."""
    rasterio = pytest.importorskip("rasterio")
    draw_raster(tmp_path / "in/a.tif")
    out = tmp_path / "out"
    list(Prediction(segmenter, tmp_path / "in", out))
    with rasterio.open(out / "labels/a.tif") as file:
        labels = file.read(1)
        assert file.nodata == 255 and file.crs.to_epsg() == 32633
        assert file.transform == rasterio.Affine(0.5, 0, 5e5, 0, -2, 4e6)
    assert (labels[:6] == 255).all() and labels[6:].max() < 3
    rows = table(out / "areas.csv")
    assert [row["class"] for row in rows] == NAMES * 2
    for row in rows:
        count = int((labels == int(row["value"])).sum())
        assert int(row["pixels"]) == count
        assert float(row["share"]) == pytest.approx(count / (18 * 32), abs=1e-6)
        assert float(row["square_metres"]) == count * 1.0
    with rasterio.open(out / "overlays/a.tif") as file:
        assert file.transform == rasterio.Affine(0.5, 0, 5e5, 0, -2, 4e6)
        assert file.read()[:, :4].mean() > 250  # no data is white
    draw(tmp_path / "in", "b.png")  # without a scale: no sum of square metres
    list(Prediction(segmenter, tmp_path / "in", out))
    rows = table(out / "areas.csv")
    assert [row["image"] for row in rows] == ["a.tif"] * 3 + ["b.png"] * 3 + ["all images"] * 3
    assert sum(int(row["pixels"]) for row in rows[-3:]) == 18 * 32 + 24 * 32
    assert {row["square_metres"] for row in rows[3:]} == {""}


def test_areas_where_nothing_is_known() -> None:
    """No valid pixel and no size of one: zeros, and no area; rows of unlike size add up."""
    nothing = areas(np.full((3, 4), 255, np.uint8), ["a"])
    assert (nothing[0].pixels, nothing[0].share, nothing[0].square_metres) == (0, 0.0, None)
    labels = np.array([[0, 1], [1, 255]], np.uint8)
    found = areas(labels, ["a", "b"], np.array([2.0, 3.0]))
    assert [area.square_metres for area in found] == [2.0, 5.0]


def test_a_large_image_is_told_row_by_row(checkpoint: Path, tmp_path: Path) -> None:
    """In windows, with a bar inside it; its picture is drawn from every n-th pixel."""
    cv2.imwrite(str(tmp_path / "wide.png"), scene(70, 2500))
    heard: list[tuple[int, int]] = []
    wide = Segmenter(checkpoint, small_config(), side=0, tile=512)
    done = Prediction(
        wide, tmp_path / "wide.png", tmp_path / "out", told=lambda *n: heard.append(n)
    )
    assert len(list(done)) == 1 and heard[-1] == (70, 70)
    with Image.open(tmp_path / "out/pictures/wide.png") as file:
        assert file.size[0] < 2000
    with Image.open(tmp_path / "out/overlays/wide.png") as file:
        assert file.size == (2500, 70)


@pytest.mark.slow
def test_killed_and_gone_on_with(checkpoint: Path, tmp_path: Path) -> None:
    """Killed at five moments by a signal that nothing can catch: the same files in the end."""
    names = [f"{number}.png" for number in range(24)]
    folder = draw(tmp_path / "in", *names, size=(120, 160))
    draw_raster(folder / "map.tif")
    code = (
        "from sgseg.inference import Prediction, Segmenter\n"
        "from tests.inference.models import small_config\n"
        f"model = Segmenter({str(checkpoint)!r}, small_config(), side=0)\n"
        f"print('begun', flush=True)\nfor _ in Prediction(model, {str(folder)!r}, 'out'): pass"
    )

    def start(place: Path) -> subprocess.Popen[str]:
        place.mkdir(exist_ok=True)
        environment = os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    begun = start(tmp_path / "whole")
    begun.stdout.readline()
    before = time.monotonic()
    assert begun.wait() == 0
    lasts = time.monotonic() - before
    draws, kills = random.Random(0), 0
    while kills < 5:
        process = start(tmp_path / "killed")
        process.stdout.readline()
        time.sleep(draws.uniform(0.05, 0.25) * lasts)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        finished = (tmp_path / "killed/out/manifest.jsonl").read_bytes().count(b'"areas"')
        assert kills == 5 or finished < 25, "it was done before the last kill"
    assert start(tmp_path / "killed").wait() == 0
    whole, gone_on = (contents(tmp_path / name / "out") for name in ("whole", "killed"))
    for files in (whole, gone_on):
        del files["manifest.jsonl"]  # the order of its lines tells of the kills
        del files[".lock"]
    assert whole == gone_on and len(whole) == 3 * 25 + 2


def test_one_call_writes_at_a_time(segmenter: Segmenter, tmp_path: Path) -> None:
    """A second one is refused while the first is at it, and goes on from there afterwards."""
    folder, out = draw(tmp_path / "in", "a.png", "b.png", "c.png"), tmp_path / "out"
    first = Prediction(segmenter, folder, out, 1, LABELS_ONLY)
    second = Prediction(segmenter, folder, out, 1, LABELS_ONLY)  # begun, and not gone through
    results = iter(first)
    next(results)
    with pytest.raises(BlockingIOError, match="is being written there"):
        list(second)
    results.close()
    assert len(list(second)) == 2 and list(first) == []


def test_a_large_file_is_a_batch_of_its_own(segmenter: Segmenter, tmp_path: Path) -> None:
    """So that no other image is lost with it."""
    folder = draw(tmp_path / "in", "a.png", "b.png", "c.png", "d.png")
    with (folder / "c.png").open("ab") as file:
        file.write(bytes(5_000_000))  # behind the image's end
    batches = Prediction(segmenter, folder, tmp_path / "out", 8, LABELS_ONLY)._parts()
    assert [[path.name for path in part] for part in batches] == [
        ["a.png", "b.png"],
        ["c.png"],
        ["d.png"],
    ]
