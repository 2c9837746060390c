"""Caches: the pixels of the protocol, from every layout, whole or not there at all."""

from __future__ import annotations

import json
import os
import pickle
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
import torch
from PIL import Image

from sgseg.datasets import (
    Cache,
    COCOStuff3,
    COCOStuff3Other,
    COCOStuff15,
    Potsdam,
    Potsdam3,
)
from sgseg.datasets import coco_stuff as coco_module
from sgseg.datasets.coco_stuff import FEW, FULL, PUBLISHED, find_lists, list_sha256
from sgseg.datasets.potsdam import COLOURS, COUNTS, LABELLED_TILES, UNLABELLED_TILES
from sgseg.datasets.prepare import coco_stuff as coco_prepare
from sgseg.datasets.prepare import potsdam as potsdam_prepare
from sgseg.datasets.prepare import prepare_coco_stuff, prepare_potsdam
from sgseg.datasets.prepare.potsdam import drawn_patches, palette_classes
from sgseg.io import BadFileError
from tests.conftest import ROOT
from tests.datasets import samples

RESCALE = dict(type="Rescale", factor=0.33, interpolation="bilinear")
SCORING = [RESCALE, dict(type="CropTo", size=128), dict(type="PackInputs", with_labels=True)]
TRAINING = [RESCALE, dict(type="CropTo", size=128, random=True), dict(type="PackInputs")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO-Stuff tree made on the fly."""
    return samples.coco_tree(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="module")
def cache(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree's cache."""
    out = tmp_path_factory.mktemp("prepared") / "cache"
    prepare_coco_stuff(tree, out, all_images=True)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("kind", [COCOStuff15, COCOStuff3, COCOStuff3Other])
@pytest.mark.parametrize("transforms", [SCORING, TRAINING], ids=["scoring", "training"])
def test_cache_gives_the_pixels_of_the_tree(
    tree: Path, cache: Path, kind: type, transforms: list[dict[str, Any]]
) -> None:
    """Item by item what the pipeline makes of the files, random crops and labels included."""
    raw, cached = kind(str(tree), transforms=transforms), kind(str(cache), transforms=transforms)
    assert raw.names() == cached.names() and len(cached) == 14
    for index in range(len(raw)):
        one, other = raw[index], cached[index]
        assert one.keys() == other.keys()
        assert all(torch.equal(torch.as_tensor(one[k]), torch.as_tensor(other[k])) for k in one)


def test_a_loss_mask_from_files_and_cache(tree: Path, cache: Path) -> None:
    """A training set that drops labels reads them where the mask asks for it."""
    steps = [*SCORING[:-1], dict(type="PackInputs", loss_mask="labelled")]
    for root in (tree, cache):
        item = COCOStuff15(str(root), transforms=steps)[0]
        truth = COCOStuff15(str(root), transforms=SCORING)[0]["gt"]
        assert "gt" not in item and torch.equal(item["mask"], truth != 255)


def test_cache_refuses_another_resize(cache: Path) -> None:
    """Scaled pixels are not scaled again, and not passed off as another protocol's."""
    for first in (dict(type="Rescale", factor=0.5), dict(type="ResizeWhole", size=128)):
        with pytest.raises(ValueError, match=r"prepared with Rescale\(factor=0\.33"):
            COCOStuff15(str(cache), transforms=[first, dict(type="PackInputs")])


def test_whole_images(tree: Path, tmp_path: Path) -> None:
    """resize_whole squeezes each image to 128 x 128, in the cache as in the pipeline."""
    prepare_coco_stuff(tree, tmp_path / "c", whole=True, all_images=True)
    steps = [dict(type="ResizeWhole", size=128), dict(type="PackInputs", with_labels=True)]
    raw, cached = COCOStuff15(str(tree), transforms=steps), COCOStuff15(str(tmp_path / "c"))
    assert torch.equal(
        raw[3]["inputs"], COCOStuff15(str(tmp_path / "c"), transforms=steps)[3]["inputs"]
    )
    assert cached[3]["inputs"].shape == (3, 128, 128)
    item = COCOStuff15(str(tree)).load(3)
    squeezed = cv2.resize(item["img"], (128, 128), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(raw[3]["inputs"].permute(1, 2, 0).numpy(), squeezed)
    cropped = COCOStuff15(str(tree), transforms=SCORING)
    for squeezing in (raw, cached):
        assert "ResizeWhole(size=128)" in squeezing.protocol()["transforms"]
        assert squeezing.protocol()["transforms"] != cropped.protocol()["transforms"]


def test_manifest_says_what_the_cache_is(cache: Path) -> None:
    """Counts, protocol and version for a person; its hash in the data set's protocol."""
    manifest = json.loads((cache / "manifest.json").read_text())
    assert manifest["counts"] == {"train2017": 10, "val2017": 4} and manifest["items"] == 14
    assert manifest["applied"] == ["Rescale(factor=0.33, interpolation='bilinear')"]
    assert manifest["sgseg_version"] and manifest["labelled"] == 14
    assert manifest["shards"][0]["bytes"] == (cache / "shard-00000.bin").stat().st_size
    dataset = COCOStuff15(str(cache), splits=["val2017"])
    assert dataset.protocol()["manifest_sha256"] == Cache(cache).manifest_sha256
    assert dataset.protocol()["published"] is False
    assert str(cache) not in (cache / "manifest.json").read_text()  # true on any machine


@pytest.mark.slow
def test_cache_is_the_same_whoever_writes_it(
    tree: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes write byte for byte what one writes: the hash is the data's, not the run's."""
    again = prepare_coco_stuff(tree, tmp_path / "again", all_images=True)
    assert again.manifest_sha256 == Cache(cache).manifest_sha256
    monkeypatch.setattr(coco_prepare, "_PER_SHARD", 5)
    one = prepare_coco_stuff(tree, tmp_path / "one", all_images=True)
    two = prepare_coco_stuff(tree, tmp_path / "two", all_images=True, workers=2)
    assert content(one.root) == content(two.root)
    assert len(one.manifest["shards"]) == 3


def test_finished_cache_is_left_alone(tree: Path, cache: Path) -> None:
    """A second call finds it finished; another protocol in the same folder is refused."""
    before = content(cache)
    prepare_coco_stuff(tree, cache, all_images=True)
    with pytest.raises(FileExistsError, match="another protocol"):
        prepare_coco_stuff(tree, cache, all_images=True, whole=True)
    assert content(cache) == before


def test_foreign_folder_is_refused(tree: Path, tmp_path: Path) -> None:
    """Nothing is written among files that are not a cache's."""
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="not empty"):
        prepare_coco_stuff(tree, tmp_path, all_images=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


KILLED = """
import sys, time
from sgseg.datasets.coco_stuff import COCOTree
from sgseg.datasets.prepare import coco_stuff
coco_stuff._PER_SHARD = 3
read = COCOTree.read
def slow(self, split, name):
    time.sleep(0.1)
    return read(self, split, name)
COCOTree.read = slow
coco_stuff.prepare_coco_stuff(sys.argv[1], sys.argv[2], all_images=True)
"""


def test_killed_run_resumes(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL in the middle leaves no manifest; the next call keeps what is whole."""
    out = tmp_path / "cache"
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tree), str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    while not (out / "rows" / "shard-00001.bin.npy").exists():
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "manifest.json").exists()
    with pytest.raises(ValueError, match="preparation that was stopped"):
        COCOStuff15(str(out))
    kept = (out / "shard-00000.bin").stat()
    monkeypatch.setattr(coco_prepare, "_PER_SHARD", 3)
    calls: list[tuple[int, int]] = []
    resumed = prepare_coco_stuff(tree, out, all_images=True, progress=lambda *c: calls.append(c))
    assert calls[0][0] >= 6 and calls[-1] == (14, 14)
    assert (out / "shard-00000.bin").stat().st_mtime_ns == kept.st_mtime_ns
    unbroken = prepare_coco_stuff(tree, tmp_path / "unbroken", all_images=True)
    assert content(out) == content(unbroken.root)
    assert resumed.manifest_sha256 == unbroken.manifest_sha256


@pytest.mark.parametrize("at", [1, 3, 6, 9])
def test_full_disk_leaves_no_lie(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Wherever writing fails there is no manifest and no part of a file; room made, it goes on."""
    monkeypatch.setattr(coco_prepare, "_PER_SHARD", 4)
    real, count = os.fsync, [0]

    def full(descriptor: int) -> None:
        count[0] += 1
        if count[0] == at:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        prepare_coco_stuff(tree, tmp_path / "c", all_images=True)
    assert not (tmp_path / "c" / "manifest.json").exists()
    assert not list((tmp_path / "c").rglob("*.part"))
    prepare_coco_stuff(tree, tmp_path / "c", all_images=True)
    monkeypatch.setattr(os, "fsync", real)
    prepare_coco_stuff(tree, tmp_path / "clean", all_images=True)
    assert content(tmp_path / "c") == content(tmp_path / "clean")


def test_bad_input_is_named(tree: Path, tmp_path: Path) -> None:
    """An unreadable image stops the preparation with its path, from a worker process too."""
    copy = shutil.copytree(tree, tmp_path / "tree")
    path = copy / "images/val2017/000000001001.jpg"
    path.write_bytes(path.read_bytes()[:5000])
    for workers in (1, 2):
        with pytest.raises(BadFileError, match=r"1001\.jpg: truncated") as caught:
            prepare_coco_stuff(copy, tmp_path / f"c{workers}", all_images=True, workers=workers)
        assert caught.value.kind == "truncated" and caught.value.path == path


def test_stuffthingmaps_layout(tree: Path, cache: Path, tmp_path: Path) -> None:
    """COCO's own folders beside the unpacked zip give the same cache as images/, annotations/."""
    for split in ("train2017", "val2017"):
        shutil.copytree(tree / "images" / split, tmp_path / "t" / split)
        shutil.copytree(tree / "annotations" / split, tmp_path / "t/stuffthingmaps" / split)
    found = prepare_coco_stuff(tmp_path / "t", tmp_path / "c", all_images=True)
    assert found.manifest_sha256 == Cache(cache).manifest_sha256


def test_lists_choose_for_each_set(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cache, two lists: each set has its own images, known by hash whatever the file's name."""
    ids = {FULL: ["000000000001", "000000000002"], FEW: ["000000000002", "000000000005"]}
    table = {
        name: {"train2017": (2, list_sha256(members)), "val2017": (1, list_sha256([f"{n:012d}"]))}
        for n, (name, members) in enumerate(ids.items(), 1000)
    }
    monkeypatch.setattr(coco_module, "PUBLISHED", table)
    lists = tmp_path / "lists"
    lists.mkdir()
    for n, members in enumerate(ids.values(), 1000):
        (lists / f"{n}.txt").write_text("\n".join(reversed(members)))
        (lists / f"val-{n}.txt").write_text(f"{n:012d}\n")
    found = prepare_coco_stuff(tree, tmp_path / "c", [lists])
    assert found.manifest["counts"] == {"train2017": 3, "val2017": 2}
    fifteen, three = COCOStuff15(str(found.root)), COCOStuff3(str(found.root))
    assert fifteen.names() == [*(f"train2017/{n}" for n in ids[FULL]), "val2017/000000001000"]
    assert three.names() == [*(f"train2017/{n}" for n in ids[FEW]), "val2017/000000001001"]
    assert COCOStuff3Other(str(found.root)).names() == three.names()
    assert fifteen.protocol()["list"] == FULL and fifteen.protocol()["published"] is True
    assert fifteen.subsets() == {"train2017": (0, 2), "val2017": (2, 3)}
    only = prepare_coco_stuff(tree, tmp_path / "only", [lists / "1000.txt"])
    with pytest.raises(ValueError, match="Prepare it again"):
        COCOStuff3(str(only.root))


def test_list_of_other_ids_is_not_published(tree: Path, tmp_path: Path) -> None:
    """A file of the right name with other ids is used, and never called the published list."""
    folder = tmp_path / "curated" / "train2017"
    folder.mkdir(parents=True)
    (folder / f"{FULL}.txt").write_text("000000000003\n")
    found = prepare_coco_stuff(tree, tmp_path / "c", [tmp_path / "curated"])
    assert found.manifest["lists"][FULL]["train2017"]["published"] is False
    assert COCOStuff15(str(found.root)).protocol()["published"] is False
    (folder / f"{FULL}.txt").write_text("999999999999\n")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 listed images are missing.*999999999999"):
        prepare_coco_stuff(tree, tmp_path / "d", [tmp_path / "curated"])
    with pytest.raises(FileNotFoundError, match="no curated list"):
        prepare_coco_stuff(tree, tmp_path / "d")


def test_real_lists_are_recognised() -> None:
    """The curated lists that circulate: 51,804 and 36,660 ids, by count and sha256."""
    found = find_lists(samples.real(samples.SHARED / "data" / "curated_lists"))
    published = [one for one in found if one.published]
    counts = {(one.name, one.split): len(one.ids) for one in published}
    assert sum(counts[FULL, split] for split in PUBLISHED[FULL]) == 51804
    assert sum(counts[FEW, split] for split in PUBLISHED[FEW]) == 36660
    for one in published:
        assert PUBLISHED[one.name][one.split] == (len(one.ids), list_sha256(one.ids))


def test_real_histograms() -> None:
    """The maps of the 21 real images give the 15- and 3-class histograms of the curated tables."""
    root = samples.real(samples.COCO_SAMPLE)
    maps = json.loads(
        (samples.SHARED / "data/curated_lists/cocostuff_15_and_3_maps.json").read_text()
    )
    for kind, key in ((COCOStuff15, "coco_stuff_15"), (COCOStuff3, "coco_stuff_3")):
        dataset = kind(str(root))
        table = maps[key]["fine_to_class"]
        for index in range(len(dataset)):
            raw = np.array(Image.open(root / "annotations" / f"{dataset.name(index)}.png"))
            expected: dict[int, int] = {}
            for value, count in zip(*np.unique(raw, return_counts=True)):
                wanted = int(table.get(str(value), 255))
                expected[wanted] = expected.get(wanted, 0) + int(count)
            found = dataset.load(index)["gt_seg_map"]
            assert (
                dict(zip(*map(np.ndarray.tolist, np.unique(found, return_counts=True)))) == expected
            )
        assert len(dataset) == 21


def test_rescale_is_iics(tree: Path) -> None:
    """x0.33 as IIC calls OpenCV: bilinear for the image, nearest for the map."""
    item = COCOStuff15(str(tree)).load(0)
    image, label = item["img"], item["gt_seg_map"]
    from sgseg.datasets import Rescale

    scaled = Rescale(0.33, "bilinear")(dict(item))
    options = dict(dsize=None, fx=0.33, fy=0.33)
    np.testing.assert_array_equal(
        scaled["img"], cv2.resize(image, interpolation=cv2.INTER_LINEAR, **options)
    )
    np.testing.assert_array_equal(
        scaled["gt_seg_map"], cv2.resize(label, interpolation=cv2.INTER_NEAREST, **options)
    )


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles made on the fly."""
    return samples.potsdam_tiles(tmp_path_factory.mktemp("tiles"))


def test_potsdam_patches_pixel_by_pixel(tiles: Path, tmp_path: Path) -> None:
    """Four bands in order, halved as the mean of 2 x 2, labels as every second pixel."""
    prepare_potsdam(tiles, tmp_path / "c")
    dataset = Potsdam(str(tmp_path / "c"))
    three = Potsdam3(str(tmp_path / "c"))
    assert len(dataset) == 12
    for index in range(12):
        _, _, first, second, row, column = dataset.name(index).split("_")
        window = np.s_[400 * int(row) :, 400 * int(column) :]
        name = f"top_potsdam_{first}_{second}"
        pixels = tifffile.imread(tiles / f"4_Ortho_RGBIR/{name}_RGBIR.tif")[window][:400, :400]
        means = pixels.reshape(200, 2, 200, 2, 4).astype(float).mean((1, 3))
        item = dataset.load(index)
        assert item["img"].shape == (200, 200, 4)
        assert np.abs(item["img"] - means).max() <= 0.5
        path = tiles / f"5_Labels_for_participants/{name}_label.tif"
        if not path.exists():
            assert "gt_seg_map" not in item
            continue
        colours = tifffile.imread(path)[window][:400:2, :400:2]
        np.testing.assert_array_equal(np.array(COLOURS)[item["gt_seg_map"]], colours)
        merged = np.array([0, 1, 2, 2, 0, 1])[item["gt_seg_map"]]
        np.testing.assert_array_equal(three.load(index)["gt_seg_map"], merged)


def test_potsdam_at_full_size(tiles: Path, tmp_path: Path) -> None:
    """Uncut pixels in four times the patches, which the protocol of every score tells apart."""
    prepare_potsdam(tiles, tmp_path / "halved")
    prepare_potsdam(tiles, tmp_path / "full", halve=False)
    halved, full = (Potsdam(str(tmp_path / name)) for name in ("halved", "full"))
    assert (len(halved), len(full)) == (12, 48)
    name = "top_potsdam_7_12"
    pixels = tifffile.imread(tiles / f"4_Ortho_RGBIR/{name}_RGBIR.tif")
    colours = tifffile.imread(tiles / f"5_Labels_for_participants/{name}_label.tif")
    item = full.load(full.names().index(f"{name}_02_03"))
    np.testing.assert_array_equal(item["img"], pixels[400:600, 600:800])
    found = np.array(COLOURS)[item["gt_seg_map"]]
    np.testing.assert_array_equal(found, colours[400:600, 600:800])
    ways = [dataset.protocol() for dataset in (halved, full)]
    assert [way["source"] for way in ways] == ["ISPRS tiles, halved", "ISPRS tiles, full size"]
    assert ways[0]["manifest_sha256"] != ways[1]["manifest_sha256"]
    with pytest.raises(FileExistsError, match="another protocol"):
        prepare_potsdam(tiles, tmp_path / "halved", halve=False)
    archive = samples.iic_archive(tmp_path / "archive")
    with pytest.raises(ValueError, match="cut from ISPRS's tiles"):
        prepare_potsdam(archive, tmp_path / "patches", halve=False)


def test_potsdam_splits(tiles: Path, tmp_path: Path) -> None:
    """All patches train, the labelled ones are scored; a tenth is labelled_test."""
    for out in ("c", "d"):
        prepare_potsdam(tiles, tmp_path / out)
    assert content(tmp_path / "c") == content(tmp_path / "d")
    manifest = Cache(tmp_path / "c").manifest
    assert manifest["counts"] == {"unlabelled_train": 4, "labelled_train": 7, "labelled_test": 1}
    assert manifest["protocol"]["published"] is False and manifest["labelled"] == 8
    scored = Potsdam(str(tmp_path / "c"), splits=["labelled_train", "labelled_test"])
    assert len(scored) == 8 and scored.subsets()["labelled_test"] == (7, 8)
    assert Potsdam(str(tmp_path / "c"), bands=3)[0]["inputs"].shape == (3, 200, 200)


def test_potsdam_protocol_counts() -> None:
    """38 tiles of 225 patches give 3,150 + 4,545 + 855, and the 855 never change."""
    names = [
        f"top_potsdam_{tile}_{row:02d}_{column:02d}"
        for tile in LABELLED_TILES
        for row in range(15)
        for column in range(15)
    ]
    total = 225 * (len(LABELLED_TILES) + len(UNLABELLED_TILES))
    test = drawn_patches(names, total)
    assert len(test) == COUNTS["labelled_test"] == 855
    assert len(names) - len(test) == COUNTS["labelled_train"]
    assert total - len(names) == COUNTS["unlabelled_train"]
    assert list_sha256(test)[:16] == "5fdf23194120dc25"


def test_nearest_palette_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off-palette pixels take the nearest colour, are counted, and a warning says when many."""
    colours = np.array([[(254, 3, 2), (0, 0, 255), (250, 255, 1), (90, 110, 120)]], np.uint8)
    classes, off = palette_classes(colours)
    assert classes[0, :3].tolist() == [5, 1, 4]
    distance = ((np.array(COLOURS) - (90, 110, 120)) ** 2).sum(1)
    assert classes[0, 3] == distance.argmin()
    assert off.tolist() == [[True, False, True, True]]
    rng = np.random.default_rng(0)
    label = rng.integers(0, 6, (400, 400))
    samples.write_tile(tmp_path / "t", "2_10", samples.texture(rng, 400, 400, 4), label)
    path = tmp_path / "t/5_Labels_for_participants/top_potsdam_2_10_label.tif"
    spoiled = tifffile.imread(path)
    spoiled[:4, :50] = (40, 255, 0)  # 2 x 25 pixels after halving, in a class of its own: tree
    tifffile.imwrite(path, spoiled, photometric="rgb")
    said: list[str] = []
    monkeypatch.setattr(potsdam_prepare, "print_log", lambda text, **_: said.append(text))
    found = prepare_potsdam(tmp_path / "t", tmp_path / "c")
    assert found.manifest["off_palette"] == {"pixels": 50, "share": 50 / 40000}
    assert "0.12 % of the label pixels" in said[-1]
    assert (Potsdam(str(found.root)).load(0)["gt_seg_map"][:2, :25] == 3).all()


def test_three_band_tile_is_refused(tmp_path: Path) -> None:
    """A tile without infrared is named; its fourth band is never made up or dropped."""
    rng = np.random.default_rng(0)
    samples.write_tile(tmp_path / "t", "2_10", samples.texture(rng, 400, 400, 3), None)
    with pytest.raises(BadFileError, match=r"RGBIR\.tif: has 3 bands, expected 4"):
        prepare_potsdam(tmp_path / "t", tmp_path / "c")


def test_iic_archive(tmp_path: Path) -> None:
    """IIC's .mat patches and lists as they are: order of the lists, pixels untouched."""
    from scipy.io import loadmat

    root = samples.iic_archive(tmp_path / "archive")
    prepare_potsdam(root, tmp_path / "c")
    dataset = Potsdam(str(tmp_path / "c"))
    assert dataset.names() == ["0", "3", "4", "1", "6", "2", "5"]
    assert dataset.protocol()["split"] == ["unlabelled_train", "labelled_train", "labelled_test"]
    for index, name in enumerate(dataset.names()):
        item = dataset.load(index)
        np.testing.assert_array_equal(item["img"], loadmat(root / f"imgs/{name}.mat")["img"])
        if index >= 2:
            truth = loadmat(root / f"gt/{name}.mat")["gt"]
            np.testing.assert_array_equal(item["gt_seg_map"], truth)


def test_real_potsdam_crop(tmp_path: Path) -> None:
    """The real Potsdam crop: its label file as ISPRS colours comes back class by class."""
    root = samples.real(samples.SHARED / "data" / "isprs_sample")
    rgb = np.array(Image.open(root / "images/potsdam_2_10_rgb_512.png"))[:400, :400]
    classes = np.array(Image.open(root / "labels/potsdam_2_10_rgb_512.png"))[:400, :400]
    border = classes == 255
    # The sample has no infrared and eroded borders; red stands in, and clutter on the borders.
    pixels = np.concatenate([rgb, rgb[..., :1]], 2)
    samples.write_tile(tmp_path / "t", "2_10", pixels, np.where(border, 5, classes))
    prepare_potsdam(tmp_path / "t", tmp_path / "c")
    item = Potsdam(str(tmp_path / "c")).load(0)
    inside = ~border[::2, ::2]
    np.testing.assert_array_equal(item["gt_seg_map"][inside], classes[::2, ::2][inside])
    means = rgb.reshape(200, 2, 200, 2, 3).astype(float).mean((1, 3))
    assert np.abs(item["img"][..., :3] - means).max() <= 0.5


def test_workers_get_a_path_not_a_list(cache: Path, tree: Path) -> None:
    """What is pickled for a worker does not grow by the names of the set."""
    assert len(pickle.dumps(Cache(cache))) < 500
    dataset = COCOStuff15(str(cache), transforms=SCORING)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[5]["inputs"], dataset[5]["inputs"])
    assert len(pickle.dumps(dataset.source)) < 1500 + 4 * len(dataset)


def test_readers_share_a_read_only_cache(cache: Path, tmp_path: Path) -> None:
    """No lock, no write: a folder without write permission reads, with forked workers too."""
    copy = shutil.copytree(cache, tmp_path / "copy")
    for path in (*copy.iterdir(), copy):
        path.chmod(0o555)
    dataset = COCOStuff15(str(copy), transforms=SCORING)
    alone = [dataset[index]["inputs"] for index in range(len(dataset))]
    loader = torch.utils.data.DataLoader(dataset, batch_size=1, num_workers=2)
    assert all(torch.equal(a, b["inputs"][0]) for a, b in zip(alone, loader, strict=True))


def test_truncated_shard_is_named(cache: Path, tmp_path: Path) -> None:
    """A cache cut off by a copy that failed says so; it does not give zeros."""
    copy = shutil.copytree(cache, tmp_path / "copy")
    shard = copy / "shard-00000.bin"
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(BadFileError, match=r"shard-00000\.bin: truncated"):
        COCOStuff15(str(copy), transforms=SCORING)[13]
    shard.unlink()
    with pytest.raises(BadFileError, match=r"shard-00000\.bin: cannot be read"):
        COCOStuff15(str(copy), transforms=SCORING)[0]


def test_other_cache_is_refused(cache: Path, tmp_path: Path) -> None:
    """A COCO cache is not read as Potsdam, nor a format of the future as this one."""
    with pytest.raises(BadFileError, match="holds coco_stuff, expected potsdam"):
        Potsdam(str(cache))
    copy = shutil.copytree(cache, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text()) | dict(format=99)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadFileError, match="format 99"):
        COCOStuff15(str(copy))
