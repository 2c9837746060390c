"""verify: every planted fault is found and named, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat, savemat

from sgseg.datasets.coco_stuff import FULL
from sgseg.datasets.prepare import prepare_coco_stuff, prepare_potsdam
from sgseg.datasets.verify import KINDS, verify
from tests.datasets import samples

Plant = Callable[[Path], Path]


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file."""
    os.truncate(path, int(path.stat().st_size * share))
    return path


def overwrite(path: Path, content: bytes) -> Path:
    """Other bytes under the same name."""
    path.write_bytes(content)
    return path


def image(path: Path, pixels: np.ndarray) -> Path:
    """Another image under the same name."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        cv2.imwrite(str(path), pixels)
    return path


def label(path: Path, value: int = 0, size: tuple[int, int] = (40, 60)) -> Path:
    """Another label map under the same name."""
    Image.fromarray(np.full(size, value, np.uint8)).save(path)
    return path


def removed(path: Path) -> Path:
    """Take a file away."""
    path.unlink()
    return path


def appended(path: Path, text: str) -> Path:
    """Add to a list."""
    with path.open("a") as file:
        file.write(text)
    return path


def twin(path: Path, other: Path) -> Path:
    """The same pixels under another name."""
    shutil.copyfile(path, other)
    return other


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of 40 x 60 with labels of three classes, half train and half val."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for number in range(12):
        image(tmp_path / f"set/images/{number}.png", samples.texture(rng, 40, 60))
        label(tmp_path / f"set/labels/{number}.png", number % 3)
    (tmp_path / "set/classes.txt").write_text("sky\nland\nsea\n")
    (tmp_path / "set/train.txt").write_text("".join(f"{n}\n" for n in range(6)))
    (tmp_path / "set/val.txt").write_text("".join(f"{n}\n" for n in range(6, 12)))
    return tmp_path / "set"


def without_map(path: Path) -> Path:
    """Take an image's label map away; the image is what the fault names."""
    removed(path.parents[1] / "labels" / path.name)
    return path


TWELVE: dict[str, Plant] = {
    "unreadable": lambda root: overwrite(root / "images/3.png", b"no image at all" * 50),
    "truncated": lambda root: cut(root / "images/4.png"),
    "empty": lambda root: overwrite(root / "images/5.png", b""),
    "size": lambda root: image(root / "images/6.png", np.zeros((40, 61, 3), np.uint8)),
    "bands": lambda root: removed(root / "images/7.png").with_suffix(".tif"),
    "dtype": lambda root: image(root / "images/8.png", np.zeros((40, 60, 3), np.uint16)),
    "label_range": lambda root: label(root / "labels/9.png", 3),
    "label_size": lambda root: label(root / "labels/10.png", 1, (40, 59)),
    "missing_partner": lambda root: without_map(root / "images/11.png"),
    "duplicate": lambda root: twin(root / "images/0.png", root / "images/6.png"),
    "leak": lambda root: appended(root / "val.txt", "2\n"),
    "count": lambda root: appended(root / "train.txt", "1\n"),
}
"""The twelve kinds of fault; each plants one and gives the file that must be named."""


def plant(root: Path, kind: str) -> Path:
    """Plant a fault of a kind; the file or item that has it."""
    path = TWELVE[kind](root)
    if kind == "bands":
        tifffile.imwrite(path, np.zeros((40, 60, 4), np.uint8), photometric="rgb")
    return path


def test_clean_folder(folder: Path) -> None:
    """Nothing is wrong: no fault, and the counts are right."""
    report = verify(folder, size=(40, 60))
    assert report.faults == [] and report.counts == {"train": 6, "val": 6}
    assert "no faults" in report.text()


@pytest.mark.parametrize("kind", TWELVE)
def test_each_of_twelve_faults(folder: Path, kind: str) -> None:
    """A planted fault is found under its kind with the file's name, and is the only one."""
    path = plant(folder, kind)
    report = verify(folder, size=(40, 60))
    named = "2" if kind == "leak" else str(path)
    assert [(fault.kind, fault.path) for fault in report.faults if fault.kind == kind] == [
        (kind, named)
    ]
    # A size of its own is two faults for one file: the image's, and that its map no longer fits.
    also = {"size": {"label_size"}}.get(kind, set())
    assert {fault.kind for fault in report.faults} == {kind} | also


def test_all_twelve_at_once(folder: Path, tmp_path: Path) -> None:
    """Twelve of twelve in one run; two processes find the same; the report holds all."""
    for kind in TWELVE:
        if kind not in ("duplicate", "size"):
            plant(folder, kind)
    twin(folder / "images/0.png", folder / "images/12.png")
    label(folder / "labels/12.png")
    image(folder / "images/13.png", np.zeros((41, 60, 3), np.uint8))
    label(folder / "labels/13.png", 0, (41, 60))
    appended(folder / "val.txt", "12\n13\n")
    report = verify(folder, size=(40, 60))
    assert {fault.kind for fault in report.faults} == set(TWELVE)
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert sum(written["by_kind"].values()) == len(written["faults"]) == len(report.faults)
    assert all(fault["path"] and fault["message"] for fault in written["faults"])
    both = verify(folder, size=(40, 60), workers=2)
    assert sorted(both.faults) == sorted(report.faults)


def test_kinds_are_explained() -> None:
    """Each kind that is planted has its meaning in the report; a cache adds `damaged`, scenes of
    their own (test_pixels, test_scan) the others."""
    assert set(KINDS) == {*TWELVE, "damaged", "pages", "labels", "classes"}


@pytest.mark.parametrize(
    "name",
    ["coco_stuff_sample", "isprs_sample", "aerial_naip_rgbir", "aerial_dubai", "msrc_v2"],
)
@pytest.mark.slow
def test_no_false_alarm_on_real_sets(name: str) -> None:
    """Real data as they circulate: four bands, grey among colour, lists, 255, no faults."""
    assert verify(samples.real(samples.SHARED / "data" / name)).faults == []


def test_grey_and_alpha_are_no_fault(folder: Path) -> None:
    """What training converts without loss is not reported."""
    image(folder / "images/1.png", np.zeros((40, 60), np.uint8))
    image(folder / "images/2.png", np.full((40, 60, 4), 9, np.uint8))
    assert verify(folder).faults == []


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean COCO-Stuff tree."""
    return samples.coco_tree(tmp_path_factory.mktemp("coco"), 4, 3)


IMAGE, MAP = "images/train2017/000000000002.jpg", "annotations/train2017/000000000002.png"


@pytest.mark.parametrize(
    ("kind", "planted", "also"),
    [
        ("truncated", lambda root: cut(root / IMAGE), set()),
        ("empty", lambda root: overwrite(root / IMAGE, b""), set()),
        ("unreadable", lambda root: overwrite(root / IMAGE, b"text" * 99), set()),
        ("truncated", lambda root: cut(root / MAP), set()),
        ("label_range", lambda root: label(root / MAP, 200, (420, 500)), set()),
        ("label_size", lambda root: label(root / MAP, 100, (500, 420)), set()),
        ("missing_partner", lambda root: removed(root / MAP), set()),
        ("missing_partner", lambda root: removed(root / IMAGE).with_suffix(".jpg"), set()),
        (
            "duplicate",
            lambda root: twin(root / IMAGE, root / "images/val2017/000000001000.jpg"),
            set(),
        ),
        ("leak", lambda root: both(root), {"duplicate"}),
        ("count", lambda root: wrong_list(root), set()),
    ],
)
def test_coco_faults(coco: Path, tmp_path: Path, kind: str, planted: Plant, also: set[str]) -> None:
    """Faults of the official layout, each with the file that has it."""
    root = shutil.copytree(coco, tmp_path / "tree")
    assert verify(root).faults == []
    path = planted(root)
    faults = verify(root).faults
    assert {fault.kind for fault in faults} <= {kind} | also
    assert any(fault.kind == kind and path.stem in fault.path for fault in faults)


def both(root: Path) -> Path:
    """The same id in both splits."""
    for folder, suffix in (("images", "jpg"), ("annotations", "png")):
        name = f"000000000002.{suffix}"
        shutil.copyfile(root / folder / "train2017" / name, root / folder / "val2017" / name)
    return root / IMAGE


def wrong_list(root: Path) -> Path:
    """A curated list with its name and other ids."""
    path = root / "curated" / "train2017" / f"{FULL}.txt"
    path.parent.mkdir(parents=True)
    path.write_text("000000000002\n")
    return path


def test_published_is_demanded_on_request(coco: Path, tmp_path: Path) -> None:
    """--published: a set on other images is a fault, in the tree and in its cache."""
    cache = prepare_coco_stuff(coco, tmp_path / "c", all_images=True)
    for root in (coco, cache.root):
        assert verify(root).faults == []
        assert {fault.kind for fault in verify(root, published=True).faults} == {"count"}


@pytest.mark.parametrize("kind", ["damaged", "truncated", "empty", "index", "count"])
def test_cache_faults(coco: Path, tmp_path: Path, kind: str) -> None:
    """A cache whose bytes are not its manifest's is found out, down to the item."""
    root = prepare_coco_stuff(coco, tmp_path / "c", all_images=True).root
    assert verify(root).faults == []
    shard = root / "shard-00000.bin"
    if kind == "damaged":
        content = bytearray(shard.read_bytes())
        content[100] ^= 1
        shard.write_bytes(content)
    elif kind == "truncated":
        cut(shard, 0.9)
    elif kind == "empty":
        shard.unlink()
    else:
        rows = np.load(root / "index.npy")
        rows["split"][0] = 1
        np.save(root / "index.npy", rows)
    faults = verify(root).faults
    assert ("damaged" if kind == "index" else kind) in {fault.kind for fault in faults}
    assert all(str(root) in fault.path for fault in faults if fault.kind != "leak")
    if kind == "damaged":
        assert len(faults) == 1 and "train2017/000000000000" in faults[0].message


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean Potsdam tiles."""
    return samples.potsdam_tiles(tmp_path_factory.mktemp("tiles"), side=400)


def spoil_tile(root: Path, kind: str) -> Path:
    """Plant a fault in the tile 2_10 or its label."""
    path = root / "4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif"
    colours = root / "5_Labels_for_participants/top_potsdam_2_10_label.tif"
    pixels = tifffile.imread(path)
    if kind == "truncated":
        return cut(path)
    if kind == "bands":
        tifffile.imwrite(path, pixels[..., :3], photometric="rgb")
    elif kind == "size":
        tifffile.imwrite(path, pixels[:390], photometric="rgb")
        tifffile.imwrite(colours, tifffile.imread(colours)[:390], photometric="rgb")
    elif kind == "label_size":
        tifffile.imwrite(colours, tifffile.imread(colours)[:390], photometric="rgb")
        return colours
    elif kind == "label_range":
        tifffile.imwrite(colours, tifffile.imread(colours) // 2, photometric="rgb")
        return colours
    elif kind == "missing_partner":
        colours.unlink()
    elif kind == "duplicate":
        path = root / "4_Ortho_RGBIR/top_potsdam_2_13_RGBIR.tif"
        tifffile.imwrite(path, pixels, photometric="rgb")
    return path


@pytest.mark.parametrize(
    "kind",
    ["truncated", "bands", "size", "label_size", "label_range", "missing_partner", "duplicate"],
)
def test_tile_faults(tiles: Path, tmp_path: Path, kind: str) -> None:
    """Faults of ISPRS's tiles, three-band copies among them."""
    root = shutil.copytree(tiles, tmp_path / "t")
    assert verify(root).faults == []
    path = spoil_tile(root, kind)
    assert [(fault.kind, fault.path) for fault in verify(root).faults] == [(kind, str(path))]


@pytest.mark.parametrize("kind", ["bands", "size", "dtype", "label_range", "empty", "unreadable"])
def test_archive_faults(tmp_path: Path, kind: str) -> None:
    """Faults of IIC's .mat files."""
    root = samples.iic_archive(tmp_path / "a")
    assert verify(root).faults == []
    path = root / "imgs/4.mat"
    pixels = loadmat(path)["img"]
    if kind == "bands":
        savemat(path, {"img": pixels[..., :3]})
    elif kind == "size":
        savemat(path, {"img": pixels[:100]})
    elif kind == "dtype":
        savemat(path, {"img": pixels.astype(np.float64)})
    elif kind == "label_range":
        path = root / "gt/4.mat"
        savemat(path, {"gt": np.full((200, 200), 6, np.int32)})
    else:
        overwrite(path, b"" if kind == "empty" else b"x" * 500)
    assert [(fault.kind, fault.path) for fault in verify(root).faults] == [(kind, str(path))]


def test_archive_lists(tmp_path: Path) -> None:
    """A listed patch that is gone, a leak between the lists, and a list that is empty."""
    root = samples.iic_archive(tmp_path / "a")
    (root / "imgs/3.mat").unlink()
    appended(root / "labelled_test.txt", "4\n")
    assert sorted(fault.kind for fault in verify(root).faults) == ["leak", "missing_partner"]
    (root / "unlabelled_train.txt").unlink()
    assert "count" in {fault.kind for fault in verify(root).faults}


def test_prepared_potsdam_is_clean(tiles: Path, tmp_path: Path) -> None:
    """What prepare wrote, verify signs."""
    cache = prepare_potsdam(tiles, tmp_path / "c")
    report = verify(cache.root)
    assert report.faults == [] and report.counts == {"labelled_train": 2, "unlabelled_train": 1}
