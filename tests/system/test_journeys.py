"""From a folder to named, measured maps, as people go, read back with the tools that they use.

Trainings are a few steps of a tiny network: what is proven is that each file opens elsewhere and
says the same as the others. Photographs and aerial tiles are real, and skipped without them.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sgseg
from sgseg.app import Naming
from sgseg.cli import main
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared" / "data"
PHOTOGRAPHS, AERIAL = SHARED / "msrc_v2/images", SHARED / "aerial_naip_rgbir/images"
QUICK = [
    "train_dataloader.num_workers=0",
    "train_dataloader.sampler.images=8",
    "total_batch_size=4",
]
SMALL = ["--preset", "tiny", "--size", "48", "--epochs", "2", "--cfg-options", *QUICK]
pytestmark = pytest.mark.slow


def run(*arguments: object) -> None:
    """A command, which must succeed."""
    assert main([str(each) for each in arguments]) == 0


def name_two_alike(folder: Path, images: Path) -> Path:
    """What a person does on the naming page: the first two clusters are one thing."""
    naming = Naming(sgseg.load(folder), images, 6)
    for number, row in enumerate(naming.rows()):
        naming.rename(row.key, "things" if number < 2 else f"thing {number}")
    naming.save(folder / "names.json")
    return folder / "names.json"


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs ../shared/data/msrc_v2")
def test_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels in Pillow, areas in pandas, masks in pycocotools, CVAT's and labelme's files."""
    pandas, coco = pytest.importorskip("pandas"), pytest.importorskip("pycocotools.coco")
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(PHOTOGRAPHS.glob("*.jpg"))[::60]:
        (photos / path.name).symlink_to(path)
    run("train", "sgseg_diffgcn_folder", "--data", photos, "--num-classes", 4, *SMALL)
    folder = tmp_path / "work_dirs/sgseg_diffgcn_folder/latest"
    assert (folder / "pictures/clusters.png").is_file()
    names = name_two_alike(folder, photos)
    kinds = ("coco", "labelme", "cvat")
    call = ("predict", folder, photos, "--names", names, "--out", "maps", "--annotations", *kinds)
    run(*call)
    assert "mmengine" not in capsys.readouterr().out

    classes = json.loads(Path("maps/classes.json").read_text())
    areas = pandas.read_csv("maps/areas.csv")
    counted = {}
    for path in sorted(photos.glob("*.jpg")):
        with Image.open(path) as image, Image.open(f"maps/labels/{path.stem}.png") as labels:
            assert labels.mode == "P" and labels.size == image.size
            values = np.asarray(labels)
        with Image.open(f"maps/overlays/{path.stem}.png") as overlay:
            assert overlay.size == image.size and len(np.unique(np.asarray(overlay))) > 100
        rows = areas[areas.image == path.name].set_index("value")
        counted[path.name] = np.bincount(values.ravel(), minlength=len(classes))
        assert rows.pixels.tolist() == counted[path.name].tolist()
        assert rows.share.sum() == pytest.approx(1, abs=1e-4)
    total = areas[areas.image == "all images"]
    assert total.pixels.tolist() == sum(counted.values()).tolist() and "things" in set(
        total["class"]
    )

    masks = coco.COCO("maps/annotations/coco.json")
    assert {each["name"] for each in masks.cats.values()} == set(total["class"])
    for entry in masks.anns.values():
        image = masks.imgs[entry["image_id"]]["file_name"]
        name = masks.cats[entry["category_id"]]["name"]
        value = total["class"].tolist().index(name)
        assert masks.annToMask(entry).sum() == entry["area"] == counted[image][value]
    for path in photos.glob("*.jpg"):
        shapes = json.loads(Path(f"maps/annotations/labelme/{path.stem}.json").read_text())
        assert {shape["label"] for shape in shapes["shapes"]} <= set(total["class"]) | {
            "__ignore__"
        }
    with zipfile.ZipFile("maps/annotations/cvat.zip") as archive:
        assert sum("SegmentationClass/" in name for name in archive.namelist()) == len(counted)

    before = {path: path.stat().st_mtime_ns for path in Path("maps/labels").rglob("*.png")}
    run(*call)
    assert before == {path: path.stat().st_mtime_ns for path in Path("maps/labels").rglob("*.png")}


def aerial(height: int, width: int, seed: int) -> np.ndarray:
    """(H, W, 4) uint16 of real tiles side by side; 0 is left for what is no data."""
    tiles = [np.load(path) for path in sorted(AERIAL.glob("m_*new.npy"))]
    rng, out = np.random.default_rng(seed), np.zeros((height, width, 4), np.uint16)
    for top in range(0, height, 256):
        for left in range(0, width, 256):
            part = out[top : top + 256, left : left + 256]
            part[:] = tiles[rng.integers(len(tiles))][: part.shape[0], : part.shape[1]]
    return out * 40 + 1


@pytest.mark.skipif(not AERIAL.is_dir(), reason="needs ../shared/data/aerial_naip_rgbir")
def test_rasters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place, nodata and colours in rasterio, polygons in pyogrio, square metres in pandas."""
    pandas, rasterio = pytest.importorskip("pandas"), pytest.importorskip("rasterio")
    pyogrio, shapely = pytest.importorskip("pyogrio.raw"), pytest.importorskip("shapely")
    from rasterio.transform import from_origin

    monkeypatch.chdir(tmp_path)
    tiles = tmp_path / "tiles"
    sizes = {"west": (700, 900), "large": (6000, 5000)}
    for seed, (name, (height, width)) in enumerate(sizes.items()):
        image = aerial(height, width, seed)
        image[: height // 4, : width // 3] = 0
        place = from_origin(500_000 + 20_000 * seed, 4_100_000, 2, 2)
        about = dict(crs="EPSG:32617", transform=place, nodata=0, compress="deflate", tiled=True)
        (tiles / name).mkdir(parents=True)
        with rasterio.open(
            tiles / name / "tile.tif", "w", "GTiff", width, height, 4, dtype="uint16", **about
        ) as file:
            file.write(np.moveaxis(image, 2, 0))
    given = ["--data", tiles, "--bands", 4, "--num-classes", 3, "--value-range", 0, 10201]
    run("train", "ac_folder", *given, *SMALL)
    folder = tmp_path / "work_dirs/ac_folder/latest"
    shapes = ("--polygons", "maps.gpkg", "--smallest-area", 4000, "--no-pictures")
    names = name_two_alike(folder, tiles / "west")
    run("predict", folder, tiles, "--names", names, "--out", "maps", *shapes)

    areas = pandas.read_csv("maps/areas.csv")
    about, _, geometries, fields = pyogrio.read("maps.gpkg")
    ground = shapely.area(shapely.from_wkb(geometries))  # square metres
    polygons = pandas.DataFrame(dict(zip(about["fields"], fields, strict=True)))
    assert about["crs"] == "EPSG:32617"
    np.testing.assert_allclose(ground, polygons["area"])
    for name in sizes:
        with (
            rasterio.open(tiles / name / "tile.tif") as image,
            rasterio.open(f"maps/labels/{name}/tile.tif") as labels,
        ):
            assert (labels.crs, labels.transform) == (image.crs, image.transform)
            assert labels.shape == image.shape and labels.nodata == 255 and labels.overviews(1)
            assert labels.tags(1)["class_0"] == "things" and len(labels.colormap(1)) == 256
            values, missing = labels.read(1), (image.read() == 0).all(0)
        assert ((values == 255) == missing).all()
        counts = np.bincount(values[values < 255], minlength=2)
        rows = areas[areas.image == f"{name}/tile.tif"].set_index("value")
        assert rows.pixels.tolist() == counts.tolist()
        np.testing.assert_allclose(rows.square_metres, 4.0 * counts)
        drawn = ground[polygons.image == f"{name}/tile.tif"]
        assert drawn.sum() == pytest.approx(4.0 * counts.sum()) and drawn.min() >= 4000


TABLE = """
table = dict(title="A mean of neighbours", column="block", rows=[
    dict(label="DiffGCN"),
    dict(label="mean", overrides={
        "custom_imports.imports": ["mean_block"], "model.neck.block.type": "MeanBlock"}),
])
"""


def test_a_block_against_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a block and one with a table make an ablation; nothing of sgseg is touched."""
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(tmp_path)
    block = (ROOT / "examples/mean_block.py").read_text()
    registered = "from sgseg.registry import MODELS\n\n\n@MODELS.register_module()\nclass MeanBlock"
    Path("mean_block.py").write_text(block.replace("class MeanBlock", registered))
    Path("blocks.py").write_text(TABLE)
    options = ["train_dataloader.dataset.length=16", "val_dataloader.dataset.length=8"]
    given = ["--recipe", "practical", "--seeds", 2, "--epochs", 2, "--cfg-options", *options]
    run("tables", "blocks.py", "--data", "mosaic", *given)
    (table,) = Path("work_dirs/tables").glob("blocks-*.csv")
    rows = pandas.read_csv(table)
    assert set(rows.label) == {"DiffGCN", "mean"} and len(rows) == 2
    assert len(list(Path("work_dirs/tables").glob("*/seed_*/eval.json"))) == 4
