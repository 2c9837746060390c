"""The files of a prediction: one name an image, tables that say what is whose, and areas."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sgseg.inference import BadImagesError, Segmenter, segment_folder
from sgseg.inference.areas import areas
from sgseg.inference.folder import segment_aloud
from sgseg.inference.outputs import output_names
from sgseg.visualization import palette
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import scene

NAMES = ["brick", "grass", "gravel"]


@pytest.fixture(scope="module", name="segmenter")
def segmenter_fixture(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A small model with named classes, at the images' own size."""
    config = small_config()
    path = save(small_model(config), tmp_path_factory.mktemp("model") / "small.pth", NAMES)
    return Segmenter(path, config, side=0)


def draw(folder: Path, *names: str, size: tuple[int, int] = (24, 32)) -> Path:
    """A folder of images that differ."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), scene(*size) // (number + 1))
    return folder


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


PARTS = st.lists(st.text("ab._A", min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.lists(PARTS, max_size=12))
def test_no_two_images_share_a_name(parts: list[list[str]]) -> None:
    """Whatever they are called, also where A and a are one; plain ones keep the plain rule."""
    root = Path("/root")
    paths = list(dict.fromkeys(root.joinpath(*p) for p in parts if not {".", ".."} & set(p)))
    names = output_names(paths, root)
    assert len({name.casefold() for name in names}) == len(paths)
    assert not any("/" in name or "." in name for name in names)
    assert output_names([root / "a" / "x.png", root / "b.jpg"], root) == ["a__x_png", "b_jpg"]
    long = output_names([root / f"{'é' * 200}{i}.png" for i in (1, 2)], root)
    assert len(set(long)) == 2 and all(len(name.encode()) < 200 for name in long)


def test_every_image_has_its_own_files(segmenter: Segmenter, tmp_path: Path) -> None:
    """outputs.csv leads from each image to a map that is its own."""
    names = ("img.1.jpg", "img_1.jpg", "a/x.png", "a__x.png", "a_x.png", "b.JPG", "B.jpg")
    folder = draw(tmp_path / "in", *names)
    list(segment_folder(segmenter, folder, tmp_path / "out"))
    rows = table(tmp_path / "out/outputs.csv")
    assert sorted(row["image"] for row in rows) == sorted(str(folder / name) for name in names)
    for column in ("labels", "colours", "picture"):
        assert len({row[column].casefold() for row in rows}) == len(names)
    for row in rows:
        labels = cv2.imread(str(tmp_path / "out" / row["labels"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(labels, segmenter(Path(row["image"]))[0])


def test_colours_are_seen_and_values_stay(segmenter: Segmenter, tmp_path: Path) -> None:
    """colours/NAME.png holds the same numbers, and a viewer shows the pictures' colours."""
    folder = draw(tmp_path / "in", "a.png")
    list(segment_folder(segmenter, folder, tmp_path / "out", pictures=False))
    labels = cv2.imread(str(tmp_path / "out/labels/a_png.png"), cv2.IMREAD_UNCHANGED)
    assert labels.ndim == 2
    with Image.open(tmp_path / "out/colours/a_png.png") as image:
        np.testing.assert_array_equal(np.asarray(image), labels)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette(3)[labels])


def test_a_bad_image_stops_nothing(segmenter: Segmenter, tmp_path: Path) -> None:
    """The others are segmented; it stands in the table and in the error at the end."""
    folder = draw(tmp_path / "in", "a.png", "b.png", "c.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:90])
    cv2.imwrite(str(folder / "d.png"), scene(24, 32).astype(np.uint16) * 257)
    for pictures, size in ((True, 1), (False, 4)):
        out = tmp_path / f"out{size}"
        results = segment_folder(segmenter, folder, out, size, pictures)
        assert [next(results)[0].name for _ in range(2)] == ["a.png", "c.png"]
        with pytest.raises(BadImagesError, match=r"2 of 4 images were not segmented") as error:
            next(results)
        assert {path.name for path in error.value.faults} == {"b.png", "d.png"}
        rows = {Path(row["image"]).name: row for row in table(out / "outputs.csv")}
        assert "trunc" in rows["b.png"]["fault"] and "holds uint16" in rows["d.png"]["fault"]
        assert rows["b.png"]["labels"] == "" and (out / rows["c.png"]["labels"]).is_file()


def test_names_that_are_no_text(segmenter: Segmenter, tmp_path: Path) -> None:
    """A name of bytes that are not UTF-8, which OpenCV dies of, has its files like any other."""
    good = draw(tmp_path / "in", "a.png") / "a.png"
    odd = os.fsdecode(os.fsencode(tmp_path / "in") + b"/b\xff.png")
    shutil.copy(good, odd)
    list(segment_folder(segmenter, tmp_path / "in", tmp_path / "out"))
    for folder in ("labels", "colours", "pictures"):
        assert len(list((tmp_path / "out" / folder).iterdir())) == 2


def test_what_cannot_be_meant_is_said(segmenter: Segmenter, tmp_path: Path) -> None:
    """A file for a folder, no image at a time: a sentence, and nothing is written."""
    folder = draw(tmp_path / "in", "a.png")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file; name a folder"):
        list(segment_folder(segmenter, folder, tmp_path / "file"))
    with pytest.raises(ValueError, match="--batch-size 0"):
        list(segment_folder(segmenter, folder, tmp_path / "out", batch_size=0))
    assert not (tmp_path / "out").exists()


def test_predictions_do_not_mix(segmenter: Segmenter, tmp_path: Path) -> None:
    """The same images again replace their files; others are refused, or replace all on request."""
    one, two = draw(tmp_path / "one", "a.png", "b.png"), draw(tmp_path / "two", "c.png")
    out = tmp_path / "out"
    list(segment_folder(segmenter, one, out))
    list(segment_folder(segmenter, one, out, pictures=False))
    assert not list((out / "pictures").iterdir())  # those of the first run went
    with pytest.raises(FileExistsError, match=r"prediction of other images .*a\.png and 1 more"):
        list(segment_folder(segmenter, two, out))
    assert len(table(out / "outputs.csv")) == 2
    list(segment_folder(segmenter, two, out, overwrite=True))
    assert [path.name for path in (out / "labels").iterdir()] == ["c_png.png"]
    assert [Path(row["image"]).name for row in table(out / "outputs.csv")] == ["c.png"]
    assert {Path(row["image"]).name for row in table(out / "areas.csv")} == {"c.png"}


def test_files_of_others_are_left_alone(segmenter: Segmenter, tmp_path: Path) -> None:
    """True labels in OUT/labels, and OUT beside or among the images."""
    folder = draw(tmp_path / "in", "a.png")
    own = draw(tmp_path / "out", "labels/a_png.png") / "labels/a_png.png"
    before = own.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"no prediction names \(labels/a_png\.png\)"):
            list(segment_folder(segmenter, folder, tmp_path / "out", overwrite=overwrite))
    assert own.read_bytes() == before
    with pytest.raises(ValueError, match="would be taken for true labels"):
        list(segment_folder(segmenter, folder, folder))
    for _ in range(2):  # maps of the first time are no images of the second
        found = list(segment_folder(segmenter, folder, folder / "maps"))
        assert [path.name for path, _ in found] == ["a.png"]


def test_areas_of_a_folder(segmenter: Segmenter, tmp_path: Path) -> None:
    """Pixels, shares of the valid ones, ground area; no data is counted nowhere and declared."""
    image = np.maximum(scene(24, 32), 1)
    image[:6] = 0
    scale = [(33550, "d", 3, (0.5, 2.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)
    tags = [*scale, (34735, "H", len(keys), keys, True), (42113, "s", 0, "0", True)]
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", image, photometric="rgb", extratags=tags)
    out = tmp_path / "out"
    ((_, shares),) = segment_folder(segmenter, tmp_path / "in", out)
    labels = cv2.imread(str(out / "labels/a_tif.png"), cv2.IMREAD_UNCHANGED)
    assert (labels[:6] == 255).all() and labels[6:].max() < 3
    rows = table(out / "areas.csv")
    assert [row["class"] for row in rows] == NAMES
    for value, row in enumerate(rows):
        count = int((labels == value).sum())
        assert int(row["pixels"]) == count
        assert float(row["share"]) == pytest.approx(count / (18 * 32), abs=1e-6)
        assert (float(row["area"]), row["unit"]) == (count * 1.0, "m2")
        assert shares.get(NAMES[value], 0) == pytest.approx(count / (18 * 32), abs=1e-6)
    with tifffile.TiffFile(out / "labels/a_tif.tif") as file:
        assert file.pages.first.tags[42113].value.strip("\0 ") == "255"
        np.testing.assert_array_equal(file.asarray(), labels)


def test_areas_where_nothing_is_known() -> None:
    """No valid pixel and no size of one: zeros, and no area."""
    nothing = areas(np.full((3, 4), 255, np.uint8), ["a"])
    assert (nothing[0].pixels, nothing[0].share, nothing[0].area) == (0, 0.0, "")


def test_predict_lists_what_it_could_not_do(segmenter: Segmenter, tmp_path: Path) -> None:
    """The good images' maps, the bad one's reason, exit 1; and empty folders."""
    folder = draw(tmp_path / "in", "a.png", "b.png", "c.png")
    (folder / "b.png").write_bytes(b"")
    with pytest.raises(SystemExit, match="1 of 3 images were not segmented") as left:
        segment_aloud(segmenter, folder, tmp_path / "out", 1, False)
    assert "b.png: the file is empty" in str(left.value)
    assert len(list((tmp_path / "out/labels").iterdir())) == 2
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/x.heic").write_bytes(b"0")
    with pytest.raises(FileNotFoundError, match=r"no image in it.*\.heic"):
        segment_aloud(segmenter, tmp_path / "empty", tmp_path / "more", 1, False)
