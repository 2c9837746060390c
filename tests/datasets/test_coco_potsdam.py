"""The paper's data sets: class tables against independent copies, and their layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from sgseg.datasets import COCOStuff3, COCOStuff3Other, COCOStuff15, Potsdam, Potsdam3
from sgseg.io import BadFileError

SHARED = Path(__file__).parents[2].parent / "shared"
LABELS = SHARED / "reference" / "labels.json"
MAPS = SHARED / "data" / "curated_lists" / "cocostuff_15_and_3_maps.json"


def table(path: Path) -> Any:
    """A reference table, or a skip that says what is missing."""
    if not path.is_file():
        pytest.skip(f"reference table not here: {path}")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", [COCOStuff15, COCOStuff3, Potsdam, Potsdam3])
def test_label_map_covers_every_byte(kind: type) -> None:
    """256 entries: each byte of a label file has a class or 255, and each class occurs."""
    assert kind.LABEL_MAP.shape == (256,)
    assert set(kind.LABEL_MAP.tolist()) == {*range(len(kind.CLASSES)), 255}
    assert kind.LABEL_MAP[255] == 255


@pytest.mark.parametrize(
    ("kind", "key"), [(COCOStuff15, "cocostuff15"), (COCOStuff3, "cocostuff3")]
)
def test_coco_table_against_reference(kind: type, key: str) -> None:
    """All 182 fine ids, classes and order as in IIC's table."""
    entry = table(LABELS)["cocostuff"][key]
    assert list(kind.CLASSES) == entry["names"]
    assert kind.LABEL_MAP[:182].tolist() == entry["fine_to_label"][:182]
    assert (kind.LABEL_MAP[182:] == 255).all()


@pytest.mark.parametrize(
    ("kind", "key"), [(COCOStuff15, "coco_stuff_15"), (COCOStuff3, "coco_stuff_3")]
)
def test_coco_table_against_second_source(kind: type, key: str) -> None:
    """The same from the table that the curated lists came with."""
    entry = table(MAPS)[key]
    assert [f"{name}-stuff" for name in kind.CLASSES] == entry["class_names"]
    fine = {int(raw): value for raw, value in entry["fine_to_class"].items()}
    assert len(fine) >= 182
    assert {raw: int(kind.LABEL_MAP[raw]) for raw in fine} == fine


@pytest.mark.parametrize(
    ("fine", "fifteen", "three"),
    [
        pytest.param(0, None, None, id="person"),
        pytest.param(90, None, None, id="last-thing"),
        pytest.param(105, "sky", "sky", id="clouds"),
        pytest.param(156, "sky", "sky", id="sky-other"),
        pytest.param(123, "plant", "plant", id="grass"),
        pytest.param(168, "plant", "plant", id="tree"),
        pytest.param(148, "ground", "ground", id="road"),
        pytest.param(153, "ground", "ground", id="sand"),
        pytest.param(154, "water", None, id="sea"),
        pytest.param(94, "building", None, id="bridge"),
        pytest.param(126, "solid", None, id="hill"),
        pytest.param(101, "ceiling", None, id="ceiling"),
        pytest.param(181, "solid", None, id="wood"),
        pytest.param(255, None, None, id="unlabelled"),
    ],
)
def test_well_known_ids(fine: int, fifteen: str | None, three: str | None) -> None:
    """Grass is plant, clouds are sky, a person is ignored: by name, not by our own numbers."""
    for kind, name in ((COCOStuff15, fifteen), (COCOStuff3, three)):
        found = kind.LABEL_MAP[fine]
        assert (None if found == 255 else kind.CLASSES[found]) == name


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two training images and one validation image in the official layout."""
    for split, name, fine in (("train", "01", 123), ("train", "02", 0), ("val", "03", 105)):
        for folder in ("images", "annotations"):
            (tmp_path / folder / f"{split}2017").mkdir(parents=True, exist_ok=True)
        image = np.full((20, 30, 3), fine, np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{split}2017/{name}.jpg"), image)
        fine_map = np.full((20, 30), fine, np.uint8)
        fine_map[0] = 255
        Image.fromarray(fine_map).save(tmp_path / f"annotations/{split}2017/{name}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "classes"), [(COCOStuff15, (10, 255, 11)), (COCOStuff3, (1, 255, 0))]
)
def test_coco_tree_loads(coco: Path, kind: type, classes: tuple[int, ...]) -> None:
    """Both splits in order, each image with its own map, unlabelled rows ignored."""
    dataset = kind(str(coco))
    assert dataset.names() == [
        "train2017/01",
        "train2017/02",
        "val2017/03",
    ]
    for index, number in enumerate(classes):
        item = dataset.load(index)
        assert (item["gt_seg_map"][1:] == number).all()
        assert (item["gt_seg_map"][0] == 255).all()
        assert item["img"].shape == (20, 30, 3)


def test_coco_curated_list_chooses_images(coco: Path) -> None:
    """With the curated list, which published numbers are on, only listed images count."""
    folder = coco / "curated" / "train2017"
    folder.mkdir(parents=True)
    (folder / "Coco164kFull_Stuff_Coarse_7.txt").write_text("02\n")
    fifteen = COCOStuff15(str(coco), splits=["train2017"])
    assert fifteen.names() == ["train2017/02"]
    three = COCOStuff3(str(coco), splits=["train2017"])
    assert len(three) == 2, "each set has its own list"
    assert fifteen.protocol()["items_sha256"] != three.protocol()["items_sha256"]
    assert fifteen.protocol()["split"] == ["train2017"]


def test_coco_faults_name_the_file(coco: Path) -> None:
    """A map of another size and a missing image are named."""
    path = coco / "annotations/train2017/01.png"
    Image.fromarray(np.zeros((10, 30), np.uint8)).save(path)
    with pytest.raises(BadFileError, match=str(path)):
        COCOStuff15(str(coco))[0]
    dataset = COCOStuff15(str(coco))
    (coco / "images/val2017/03.jpg").unlink()
    with pytest.raises(BadFileError, match=r"03\.jpg"):
        dataset[2]


def patch() -> np.ndarray:
    """Four bands with a value each: R 10, G 20, B 30, IR 40."""
    return np.full((200, 200, 4), (10, 20, 30, 40), np.uint8)


@pytest.fixture
def potsdam(tmp_path: Path) -> Path:
    """One TIFF and one NPY patch with all six labels and 255."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", patch(), photometric="rgb")
    np.save(tmp_path / "images/b.npy", patch())
    rows = np.repeat([0, 1, 2, 3, 4, 5, 255, 255, 255, 255], 20).astype(np.uint8)
    for name in "ab":
        Image.fromarray(np.tile(rows[:, None], 200)).save(tmp_path / f"labels/{name}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "expected"), [(Potsdam, [0, 1, 2, 3, 4, 5]), (Potsdam3, [0, 1, 2, 2, 0, 1])]
)
def test_potsdam_patches_load(potsdam: Path, kind: type, expected: list[int]) -> None:
    """Four bands in order R, G, B, IR from TIFF and NPY, and six classes or their merger."""
    dataset = kind(str(potsdam))
    for index in range(2):
        item = dataset.load(index)
        assert (item["img"] == patch()).all()
        assert item["gt_seg_map"][::20, 0].tolist() == expected + [255] * 4


def test_potsdam3_table() -> None:
    """Road and car, building and clutter, vegetation and tree: IIC's three classes."""
    merged = {"impervious_surface": 0, "car": 0, "building": 1, "clutter": 1}
    merged |= {"low_vegetation": 2, "tree": 2}
    found = {name: int(Potsdam3.LABEL_MAP[raw]) for raw, name in enumerate(Potsdam.CLASSES)}
    assert found == merged
    assert Potsdam3.CLASSES == ("road_and_car", "building_and_clutter", "vegetation_and_tree")
    assert (Potsdam3.LABEL_MAP[6:] == 255).all()


def test_potsdam_tables_against_reference() -> None:
    """Names, order and merger as in the reference table."""
    entry = table(LABELS)["potsdam"]
    assert list(Potsdam.CLASSES) == entry["names6"]
    assert list(Potsdam3.CLASSES) == entry["names3"]
    assert Potsdam3.LABEL_MAP[:6].tolist() == entry["six_to_three"]


@pytest.mark.parametrize("kind", [Potsdam, Potsdam3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_rgb_patch_in_four_band_set_raises(potsdam: Path, kind: type, suffix: str) -> None:
    """A patch without infrared is named, not filled up; bands=3 is the way to use it."""
    (potsdam / "images/a.tif").unlink()
    cv2.imwrite(str(potsdam / f"images/a{suffix}"), patch()[..., :3])
    with pytest.raises(BadFileError, match=rf"a\{suffix}.*3 bands, expected 4"):
        kind(str(potsdam))[0]
    assert kind(str(potsdam), bands=3)[0]["inputs"].shape == (3, 200, 200)


def test_potsdam_value_out_of_range_raises(potsdam: Path) -> None:
    """A seventh class in a label file is an error in both sets."""
    Image.fromarray(np.full((200, 200), 6, np.uint8)).save(potsdam / "labels/a.png")
    for kind in (Potsdam, Potsdam3):
        with pytest.raises(BadFileError, match=r"labels/a\.png.*\[6\]"):
            kind(str(potsdam))[0]


def test_potsdam_folder_splits(potsdam: Path) -> None:
    """Without lists a patch without labels is trained on only; lists, where given, decide."""
    np.save(potsdam / "images/c.npy", patch())
    assert len(Potsdam(str(potsdam))) == 3
    scored = Potsdam(str(potsdam), splits=["labelled_train", "labelled_test"])
    assert scored.names() == ["a", "b"]
    assert "gt_seg_map" not in Potsdam(str(potsdam), splits=["unlabelled_train"]).load(0)
    (potsdam / "labelled_test.txt").write_text("b\n")
    assert Potsdam(str(potsdam)).names() == ["b"]
    (potsdam / "labelled_train.txt").write_text("z\n")
    with pytest.raises(FileNotFoundError, match=r"labelled_train\.txt lists 'z'"):
        Potsdam(str(potsdam))
    with pytest.raises(ValueError, match=r"splits \['test'\] not in"):
        Potsdam(str(potsdam), splits=["test"])


def test_coco3_other_scores_the_rest() -> None:
    """The fourth class is every labelled pixel that is not sky, plant or ground."""
    three, four = COCOStuff3.LABEL_MAP, COCOStuff3Other.LABEL_MAP
    assert (four[:182] == np.where(three[:182] == 255, 3, three[:182])).all()
    assert (four[182:] == 255).all()
    entry = table(LABELS)["cocostuff"]["cocostuff3_with_other"]
    assert list(COCOStuff3Other.CLASSES) == entry["names"]
    assert four[:182].tolist() == entry["fine_to_label"]
