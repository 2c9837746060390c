"""Folders as data sets: which items they hold, what labels mean, and which faults are named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sgseg.datasets import ImageFolder, LabelledFolder
from sgseg.datasets.folder import fingerprint
from sgseg.io import BadFileError
from sgseg.registry import DATASETS

MSRC = Path(__file__).parents[2].parent / "shared" / "data" / "msrc_v2"
CLASSES = ("water", "sand", "forest")


def paint(path: Path, value: int = 0, size: tuple[int, int] = (12, 16)) -> None:
    """A colour image of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))


def label(path: Path, values: np.ndarray | int = 0, size: tuple[int, int] = (12, 16)) -> None:
    """A label map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.broadcast_to(values, size).astype(np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images, one of them in a subfolder, with labels 0, 1, 2 and classes.txt."""
    for number, name in enumerate(("a", "b", "deep/c")):
        paint(tmp_path / "images" / f"{name}.png", 10 * number)
        label(tmp_path / "labels" / f"{name}.png", number)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    return tmp_path


def names(dataset: ImageFolder | LabelledFolder) -> list[str]:
    """Names of all items."""
    return [dataset.load(index)["name"] for index in range(len(dataset))]


@pytest.mark.parametrize("below", ["", "images"])
def test_image_folder_flat_nested_or_below_images(tmp_path: Path, below: str) -> None:
    """A plain folder works as it is, and so does one with images/; both look into subfolders."""
    for name in ("b.jpg", "a.png", "deep/er/c.png"):
        paint(tmp_path / below / name)
    dataset = ImageFolder(str(tmp_path))
    assert names(dataset) == ["a", "b", "deep/er/c"]
    assert dataset.classes == ()
    assert dataset[2]["inputs"].shape == (3, 12, 16)
    assert [dataset[index]["index"] for index in range(3)] == [0, 1, 2]


def test_labels_beside_images_are_not_taken_for_images(root: Path) -> None:
    """ImageFolder on a labelled folder trains on images/, not on the label maps."""
    assert names(ImageFolder(str(root))) == ["a", "b", "deep/c"]


def test_image_folder_is_built_by_name(root: Path) -> None:
    """A config may name the class as a string without importing anything."""
    assert len(DATASETS.build(dict(type="ImageFolder", root=str(root)))) == 3


@pytest.mark.parametrize("entry", ["deep/c", "deep/c.png"])
@pytest.mark.parametrize("kind", [ImageFolder, LabelledFolder])
def test_list_files_choose_and_order_items(root: Path, kind: type, entry: str) -> None:
    """A list names images by path or stem; its order is kept, comments are skipped."""
    (root / "train.txt").write_text(f"# part\n{entry}\n\na\n")
    dataset = kind(str(root), lists=["train.txt"])
    assert names(dataset) == ["deep/c", "a"]
    assert dataset.load(0)["img"][0, 0, 0] == 20


def test_several_lists_are_joined(root: Path) -> None:
    """IIC's protocol trains on train and val together."""
    (root / "one.txt").write_text("b")
    (root / "two.txt").write_text("a")
    assert names(ImageFolder(str(root), lists=["one.txt", "two.txt"])) == ["b", "a"]


def test_listed_image_that_is_missing_raises(root: Path) -> None:
    """A list that names an absent image is an error, not a smaller data set."""
    (root / "train.txt").write_text("a\ngone\n")
    with pytest.raises(FileNotFoundError, match=r"train\.txt lists 'gone'.*images"):
        ImageFolder(str(root), lists=["train.txt"])


def test_missing_list_raises(root: Path) -> None:
    """A misspelt list is named."""
    with pytest.raises(FileNotFoundError, match=r"nolist\.txt"):
        ImageFolder(str(root), lists=["nolist.txt"])


def test_empty_and_missing_folders_raise(tmp_path: Path) -> None:
    """A wrong path is an error at the start, with the path and what was looked for."""
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}.*no image.*jpg"):
        ImageFolder(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ImageFolder(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range_raises(root: Path, index: int) -> None:
    """Iteration over a data set ends; no index wraps around."""
    with pytest.raises(IndexError, match="3 items"):
        ImageFolder(str(root))[index]


def test_labels_are_the_lines_of_classes_txt(root: Path) -> None:
    """Raw value i is line i of classes.txt, and each image gets its own label map."""
    dataset = LabelledFolder(str(root))
    assert dataset.classes == CLASSES
    for number in range(3):
        item = dataset.load(number)
        assert item["img"][0, 0, 0] == 10 * number
        assert (item["gt_seg_map"] == number).all()


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".npy"])
def test_label_suffix_may_differ(root: Path, suffix: str) -> None:
    """Labels may be TIFF, BMP or NPY beside PNG images; only the stem has to agree."""
    (root / "labels/a.png").unlink()
    if suffix == ".npy":
        np.save(root / "labels/a.npy", np.full((12, 16), 2))
    else:
        label(root / f"labels/a{suffix}", 2)
    assert (LabelledFolder(str(root)).load(0)["gt_seg_map"] == 2).all()


def test_255_stays_ignored(root: Path) -> None:
    """Ignored pixels stay 255 with and without a label map."""
    values = np.zeros((12, 16), np.uint8)
    values[:3] = 255
    label(root / "labels/a.png", values)
    for mapping in (None, {"water": 1, "sand": 0, "forest": 0}):
        found = LabelledFolder(str(root), label_map=mapping).load(0)["gt_seg_map"]
        assert (found[:3] == 255).all() and not (found[3:] == 255).any()


@pytest.mark.parametrize(
    "mapping",
    [
        {"water": 1, "sand": 255, "forest": 0},
        {0: 1, 1: 255, 2: 0},
        {"0": 1, "1": 255, "2": 0},
    ],
    ids=["names", "numbers", "digits"],
)
def test_label_map_as_dict(root: Path, mapping: dict[str | int, int]) -> None:
    """Classes are merged or ignored by raw name or raw number, each with its own target."""
    dataset = LabelledFolder(str(root), label_map=mapping, classes=["land", "sea"])
    found = [int(dataset.load(index)["gt_seg_map"][0, 0]) for index in range(3)]
    assert found == [1, 255, 0]
    assert dataset.classes == ("land", "sea")


def test_label_map_from_json(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FILE.json#KEY below the root brings map and class names, whatever the working directory."""
    entry = dict(class_names=["land", "sea"], map={"water": 1, "sand": 0, "forest": 255})
    (root / "maps.json").write_text(json.dumps({"note": "x", "two": entry}))
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    wrong = entry | dict(map={"water": 0, "sand": 0, "forest": 0})
    (elsewhere / "maps.json").write_text(json.dumps({"two": wrong}))
    monkeypatch.chdir(elsewhere)
    dataset = LabelledFolder(str(root), label_map="maps.json#two")
    assert dataset.classes == ("land", "sea")
    found = [int(dataset.load(index)["gt_seg_map"][0, 0]) for index in range(3)]
    assert found == [1, 0, 255]


def test_unknown_json_table_raises(root: Path) -> None:
    """A misspelt file or key is named, with the keys there are."""
    (root / "maps.json").write_text(json.dumps({"two": dict(map={})}))
    with pytest.raises(ValueError, match=r"#three.*\['two'\]"):
        LabelledFolder(str(root), label_map="maps.json#three")
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        LabelledFolder(str(root), label_map="other.json#two")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [({"lava": 0}, "lava.*classes.txt"), ({"water": 3}, "'water' to 3"), ({300: 0}, "300")],
)
def test_inconsistent_label_map_raises(root: Path, mapping: dict, message: str) -> None:
    """An unknown raw class, or a target that is no class, is an error at the start."""
    with pytest.raises(ValueError, match=message):
        LabelledFolder(str(root), label_map=mapping)


def test_no_class_names_raises(root: Path) -> None:
    """Without class names the error says where to write them."""
    (root / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"classes\.txt"):
        LabelledFolder(str(root))


def test_label_of_other_size_raises(root: Path) -> None:
    """A label map of another size names both files and both sizes."""
    label(root / "labels/b.png", 0, (16, 12))
    dataset = LabelledFolder(str(root))
    assert (dataset.load(0)["gt_seg_map"] == 0).all()
    with pytest.raises(BadFileError, match=r"labels/b\.png: .*12 x 16.*16 x 12.*images/b\.png"):
        dataset[1]


@pytest.mark.parametrize("value", [3, 17, 254])
@pytest.mark.parametrize("mapping", [None, {"water": 0, "sand": 0, "forest": 0}])
def test_value_without_a_class_raises(
    root: Path, mapping: dict[str | int, int] | None, value: int
) -> None:
    """One pixel of a value that no class has is an error with path and value."""
    values = np.zeros((12, 16), np.uint8)
    values[5, 5] = value
    label(root / "labels/b.png", values)
    with pytest.raises(BadFileError, match=rf"labels/b\.png: label values \[{value}\]"):
        LabelledFolder(str(root), label_map=mapping)[1]


def test_sixteen_bit_value_does_not_wrap(root: Path) -> None:
    """256 is not read as class 0, nor 511 as ignored."""
    for value in (256, 511):
        Image.fromarray(np.full((12, 16), value, np.uint16)).save(root / "labels/b.png")
        with pytest.raises(BadFileError, match=rf"\[{value}\]"):
            LabelledFolder(str(root))[1]


def test_missing_label_raises(root: Path) -> None:
    """An image without label is named at the start, with the way out."""
    (root / "labels/deep/c.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"images/deep/c\.png.*ImageFolder"):
        LabelledFolder(str(root))


@pytest.mark.parametrize("kind", [ImageFolder, LabelledFolder])
def test_protocol_names_the_items(root: Path, kind: type) -> None:
    """The record of a score says data set, part, number and hash of items, and transforms."""
    (root / "part.txt").write_text("b\na")
    (root / "other.txt").write_text("a\nb.png")
    (root / "less.txt").write_text("a\ndeep/c")
    transforms = [dict(type="CropTo", size=8), dict(type="PackInputs")]
    whole = kind(str(root), transforms=transforms).protocol()
    part, other, less = (
        kind(str(root), lists=[name]).protocol() for name in ("part.txt", "other.txt", "less.txt")
    )
    assert (whole["dataset"], whole["items"], whole["split"]) == (kind.__name__, 3, "all")
    assert whole["transforms"] == ["CropTo(size=8)", "PackInputs()"]
    assert part["split"] == ["part.txt"] and part["items"] == 2
    assert part["items_sha256"] == other["items_sha256"]
    assert len({whole["items_sha256"], part["items_sha256"], less["items_sha256"]}) == 3
    json.dumps(kind(str(root)).metainfo)


def test_hash_does_not_depend_on_where_the_folder_lies(root: Path, tmp_path: Path) -> None:
    """Two machines with the same set record the same hash."""
    moved = tmp_path / "elsewhere"
    before = ImageFolder(str(root)).protocol()["items_sha256"]
    for path in ("a.jpg", "b.jpg", "deep/c.jpg"):
        paint(moved / path)
    assert ImageFolder(str(moved)).protocol()["items_sha256"] == before


def counted(values: Callable[[int], np.ndarray], length: int) -> np.ndarray:
    """Pixels of each value 0..255 over ``length`` label maps."""
    return sum(np.bincount(values(i).ravel(), minlength=256) for i in range(length))


@pytest.mark.skipif(not MSRC.is_dir(), reason=f"real data not here: {MSRC}")
def test_msrc_histogram_against_a_recount() -> None:
    """On real photographs the merged classes hold exactly the pixels of their raw classes."""
    dataset = LabelledFolder(str(MSRC), lists=["val.txt"], label_map="coarse_maps.json#msrc_stuff3")
    stems = (MSRC / "val.txt").read_text().split()
    raw_maps = [np.asarray(Image.open(MSRC / "labels" / f"{stem}.png")) for stem in stems]
    raw = counted(raw_maps.__getitem__, len(stems))
    found = counted(lambda i: dataset.load(i)["gt_seg_map"], len(dataset))
    raw_names = (MSRC / "classes.txt").read_text().split()
    groups = dict(sky=["sky"], plant=["grass", "tree", "flower"], ground=["road"])
    assert dataset.classes == tuple(groups)
    expected = [sum(raw[raw_names.index(n)] for n in group) for group in groups.values()]
    assert len(dataset) == len(stems) > 0 and min(expected) > 0
    assert found[:3].tolist() == expected
    assert found[255] == raw.sum() - sum(expected)
    assert found[3:255].sum() == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_fingerprint_is_that_of_all_names_sorted_as_text(ordered: bool) -> None:
    """Whatever blocks they are taken in; of names that are in order only blocks are asked for."""
    names = [
        f"{stem}/{number:05d}" for stem in ("a", "a-b", "é", "鳥", "🐦") for number in range(2000)
    ]
    names = sorted(names) if ordered else names[::-1]
    encoded, asked = np.array([name.encode() for name in names]), []

    def part(start: int, end: int) -> np.ndarray:
        asked.append(end - start)
        return encoded[start:end]

    expected = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
    assert fingerprint(len(names), part) == expected
    assert (max(asked) < len(names)) == ordered
    assert fingerprint(0, part) == hashlib.sha256(b"").hexdigest()
