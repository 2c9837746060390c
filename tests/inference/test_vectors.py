"""Polygons and annotations of a prediction, read back by other tools."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from sgseg.cli import main
from sgseg.inference import Prediction, Segmenter
from sgseg.inference.annotations import demand_tools, write_annotations
from sgseg.inference.outputs import Look
from sgseg.inference.vectors import Trace, write_polygons
from sgseg.io.georeference import Georeference
from sgseg.labelmaps.polygons import regions
from tests.conftest import ROOT
from tests.inference.models import SIZES, save, small_config, small_model
from tests.inference.test_outputs import NAMES, draw_raster, label_map
from tests.inference.test_tiling import scene

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")


@pytest.fixture(scope="module", name="checkpoint")
def checkpoint_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with named classes."""
    path = tmp_path_factory.mktemp("model") / "small.pth"
    return save(small_model(small_config()), path, NAMES)


@pytest.fixture(scope="module", name="photographs")
def photographs_fixture(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """Two photographs, one in a folder, with their maps."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "in/sub").mkdir(parents=True)
    cv2.imwrite(str(folder / "in/a.png"), scene(48, 64))
    cv2.imwrite(str(folder / "in/sub/b.jpg"), scene(40, 50))
    segmenter = Segmenter(checkpoint, small_config(), side=0)
    done = Prediction(segmenter, folder / "in", folder / "out", look=Look(pictures=False))
    assert len(list(done)) == 2
    return done


def test_polygons_cover_what_they_are_of() -> None:
    """Burnt back they are the map; straightened and joined they still lie edge to edge."""
    labels = np.kron(np.random.default_rng(0).integers(0, 3, (8, 9)), np.ones((6, 5))).astype("u1")
    labels[:7, :6] = 255
    labels[20, 20] = 2 - labels[20, 20] // 2
    plain = regions(labels)
    burnt = rasterio.features.rasterize(
        [(region.geometry, region.value) for region in plain], labels.shape, fill=255
    )
    np.testing.assert_array_equal(burnt, labels)
    assert sum(region.area for region in plain) == (labels != 255).sum()
    fewer = regions(labels, simplify=3.0, smallest_area=40)
    assert len(fewer) < len(plain) and min(region.area for region in fewer) >= 20
    shapes = [region.geometry for region in fewer]
    assert shapely.coverage_is_valid(shapes)
    assert sum(map(shapely.area, shapes)) == pytest.approx((labels != 255).sum(), rel=0.1)
    with pytest.raises(ValueError, match="simplify = -1"):
        regions(labels, simplify=-1)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_polygons_of_rasters(photographs: Prediction, tmp_path: Path, suffix: str) -> None:
    """Class, name, area and coordinate system, as GDAL reads them; GeoJSON stands in degrees."""
    draw_raster(tmp_path / "in/a.tif")
    draw_raster(tmp_path / "in/b.tif", epsg=32634)  # in a neighbouring zone
    cv2.imwrite(str(tmp_path / "in/c.png"), scene(24, 32))
    done = Prediction(photographs.segmenter, tmp_path / "in", tmp_path / "out")
    list(done)
    path = tmp_path / f"maps{suffix}"
    count = write_polygons(done, Trace(path).checked())
    about, _, geometry, columns = pyogrio.raw.read(path)
    fields = dict(zip(about["fields"], columns))
    assert count == len(geometry) and set(fields["image"]) == {"a.tif", "b.tif"}
    assert [NAMES[value] for value in fields["class"]] == list(fields["name"])
    with rasterio.open(tmp_path / "out/labels/a.tif") as file:
        counts = np.bincount(file.read(1).ravel(), minlength=256)
        west, south, east, north = file.bounds
    for value in range(3):
        mine = (fields["class"] == value) & (fields["image"] == "a.tif")
        assert fields["area"][mine].sum() == counts[value]  # a pixel has one square metre
    assert set(fields["unit"]) == {"m2"}
    assert about["crs"] == ("EPSG:32633" if suffix == ".gpkg" else "EPSG:4326")
    own = shapely.from_wkb(geometry[fields["image"] == "a.tif"])
    box = shapely.total_bounds(own)
    if suffix == ".gpkg":
        np.testing.assert_allclose(box, [west, south, east, north - 12])
    else:
        np.testing.assert_allclose(box, [15.0, 36.14, 15.0, 36.15], atol=0.01)


def test_polygons_of_photographs(photographs: Prediction, tmp_path: Path) -> None:
    """In pixels, without a coordinate system; what cannot be is said before anything is done."""
    trace = Trace(tmp_path / "maps.gpkg")
    write_polygons(photographs, trace)
    about, _, geometry, columns = pyogrio.raw.read(trace.path)
    fields = dict(zip(about["fields"], columns))
    assert about["crs"] is None and set(fields["unit"]) == {"pixels"}
    assert fields["area"].sum() == 48 * 64 + 40 * 50
    np.testing.assert_allclose(shapely.total_bounds(shapely.from_wkb(geometry)), [0, 0, 64, 48])
    nothing = regions(np.full((9, 9), 255, np.uint8), simplify=1.0, smallest_area=4)
    assert nothing == []
    for wrong in (Trace(tmp_path / "a.shp"), Trace(tmp_path / "a.gpkg", -1.0)):
        with pytest.raises(ValueError, match="--polygons .*wanted is|0 or more"):
            wrong.checked()


def test_polygons_lie_where_control_points_say() -> None:
    """An image that is not yet warped, by the points that GDAL would warp it with."""
    corners = ((0, 0, 13.0, 52.5), (0, 64, 13.1, 52.5), (64, 0, 13.0, 52.4), (64, 64, 13.1, 52.4))
    points = [rasterio.control.GroundControlPoint(*corner, z=0.0) for corner in corners]
    system = rasterio.crs.CRS.from_epsg(4326)
    where = Georeference(system, rasterio.Affine.identity(), points)
    (region,) = regions(np.zeros((32, 64), np.uint8), where)
    np.testing.assert_allclose(region.geometry.bounds, (13.0, 52.45, 13.1, 52.5))
    assert region.area == 32 * 64  # in pixels, for none has a size


def test_the_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a user types: maps, polygons and annotations, then the same again at once."""
    draw_raster(tmp_path / "in/a.tif")
    sizes = [f"{key}={value}" for key, value in SIZES.items() if "half_window" not in key]
    config = str(ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py")
    command = ["predict", config, str(checkpoint), str(tmp_path / "in"), "--side", "0"]
    command += ["--out", str(tmp_path / "out"), "--polygons", str(tmp_path / "maps.gpkg")]
    command += ["--annotations", "coco", "cvat", "--simplify", "1", "--cfg-options", *sizes]
    for finished in (False, True):
        assert main(command) == 0
        said = capsys.readouterr().out
        assert ("1 of 1 images are finished already" in said) == finished
        assert "maps.gpkg: " in said and " m2" in said and "areas.csv" in said
    assert pyogrio.read_info(tmp_path / "maps.gpkg")["features"] > 0
    assert {path.name for path in (tmp_path / "out/annotations").iterdir()} == {
        "coco.json",
        "cvat.zip",
    }


def test_coco(photographs: Prediction) -> None:
    """pycocotools finds each class of each image, with its mask."""
    coco = pytest.importorskip("pycocotools.coco")
    demand_tools(["coco"])
    read = coco.COCO(write_annotations(photographs, "coco"))
    assert [read.cats[number]["name"] for number in (1, 2, 3)] == NAMES
    for image in read.loadImgs(read.getImgIds()):
        labels = label_map((photographs.out / "labels" / image["file_name"]).with_suffix(".png"))
        assert labels.shape == (image["height"], image["width"])
        found = read.loadAnns(read.getAnnIds(image["id"]))
        assert {each["category_id"] - 1 for each in found} == set(np.unique(labels))
        for each in found:
            mask = labels == each["category_id"] - 1
            np.testing.assert_array_equal(read.annToMask(each), mask)
            assert each["area"] == mask.sum()


def test_labelme(photographs: Prediction) -> None:
    """The image is found from the file; polygons painted in order, as labelme does, are the map."""
    folder = write_annotations(photographs, "labelme")
    for name in ("a", "sub/b"):
        file = folder / f"{name}.json"
        content = json.loads(file.read_text())
        assert (file.parent / content["imagePath"]).is_file()
        canvas = Image.new("L", (content["imageWidth"], content["imageHeight"]), 99)
        for shape in content["shapes"]:
            points = [tuple(point) for point in shape["points"]]
            assert shape["shape_type"] == "polygon" and len(points) >= 3
            value = NAMES.index(shape["label"])
            ImageDraw.Draw(canvas).polygon(points, fill=value, outline=value)
        labels = label_map(photographs.out / f"labels/{name}.png")
        assert (np.asarray(canvas) == labels).mean() > 0.98


def test_cvat(photographs: Prediction) -> None:
    """The archive has the list, the colours of the classes, and masks in those colours."""
    with zipfile.ZipFile(write_annotations(photographs, "cvat")) as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()[1:]
        names = archive.read("ImageSets/Segmentation/default.txt").decode().split()
        assert names == ["a", "sub/b"] and lines[0] == "background:0,0,0::"
        colours = [tuple(map(int, line.split(":")[1].split(","))) for line in lines[1:]]
        assert [line.split(":")[0] for line in lines[1:]] == NAMES
        for name in names:
            with Image.open(io.BytesIO(archive.read(f"SegmentationClass/{name}.png"))) as file:
                shown = np.asarray(file)
            labels = label_map(photographs.out / f"labels/{name}.png")
            np.testing.assert_array_equal(shown, np.array(colours)[labels])
    with pytest.raises(ValueError, match="--annotations voc: choose"):
        write_annotations(photographs, "voc")
