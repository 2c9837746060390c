"""A label map lies where its image lies, with rasterio; without it the log says what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sgseg.io import georeference as module
from sgseg.io.georeference import Georeference, georeference, write_labels, write_picture
from sgseg.visualization import class_colours
from tests.field import scenes

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("rasterio.warp")
TRANSFORM = rasterio.Affine(0.5, 0.1, 368000.0, 0.1, -0.5, 5808000.0)


def raster(path: Path, **position: Any) -> Path:
    """A GeoTIFF as GDAL writes it."""
    image = np.moveaxis(scenes.scene(0)[0], 2, 0)
    options = dict(driver="GTiff", height=64, width=64, count=3, dtype="uint8")
    with rasterio.open(path, "w", **options, **position) as file:
        file.write(image)
    return path


def control_points() -> list[Any]:
    """Four corners on the earth, of an image that is not yet warped."""
    corners = ((0, 0, 13.0, 52.5), (0, 64, 13.1, 52.5), (64, 0, 13.0, 52.4), (64, 64, 13.1, 52.41))
    return [rasterio.control.GroundControlPoint(*corner, z=0.0) for corner in corners]


POSITIONS: dict[str, dict[str, Any]] = {
    "turned, in metres": dict(crs="EPSG:32633", transform=TRANSFORM),
    "in degrees": dict(crs="EPSG:4326", transform=rasterio.Affine(1e-5, 0, 13, 0, -1e-5, 52)),
    "no system": dict(transform=TRANSFORM),
    "control points": dict(crs="EPSG:4326", gcps=control_points()),
    "camera": dict(
        rpcs=rasterio.rpc.RPC(
            height_off=0.0,
            height_scale=500.0,
            lat_off=52.0,
            lat_scale=0.1,
            line_den_coeff=[1.0] + [0.0] * 19,
            line_num_coeff=[0.0, 0.0, 1.0] + [0.0] * 17,
            line_off=32.0,
            line_scale=32.0,
            long_off=13.0,
            long_scale=0.1,
            samp_den_coeff=[1.0] + [0.0] * 19,
            samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
            samp_off=32.0,
            samp_scale=32.0,
        )
    ),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_label_map_lies_where_its_image_lies(tmp_path: Path, name: str) -> None:
    """Coordinate system, transform, control points and camera model, whichever there are."""
    image = raster(tmp_path / "a.tif", **POSITIONS[name])
    where = georeference(image)
    assert where is not None
    labels = scenes.scene(0)[1]
    write_labels(tmp_path / "labels.tif", labels, where, class_colours("ab"), ["a", "b"])
    with rasterio.open(image) as given, rasterio.open(tmp_path / "labels.tif") as found:
        assert (found.crs, found.transform) == (given.crs, given.transform)
        assert [p.asdict() | dict(id=0) for p in found.gcps[0]] == [
            p.asdict() | dict(id=0) for p in given.gcps[0]
        ]
        assert found.gcps[1] == given.gcps[1] and found.nodata == 255
        assert (found.rpcs and found.rpcs.to_dict()) == (given.rpcs and given.rpcs.to_dict())
        np.testing.assert_array_equal(found.read(1), labels)


def test_a_large_map_opens_at_once(tmp_path: Path) -> None:
    """Tiled, compressed, with overviews; colours and names of its classes are in it."""
    where = Georeference(rasterio.crs.CRS.from_epsg(32633), TRANSFORM)
    labels = np.kron(scenes.scene(0)[1], np.ones((17, 20), np.uint8))  # (1088, 1280)
    labels[:40] = 255
    colours = class_colours(["water", "b", "c"])
    write_labels(tmp_path / "a.tif", labels, where, colours, ["water", "b", "c"])
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2, 4] and file.block_shapes == [(512, 512)]
        assert file.compression.value == "DEFLATE"
        assert file.colormap(1)[0] == (*colours[0], 255) and file.colormap(1)[255][3] == 0
        assert file.tags(1) == dict(class_0="water", class_1="b", class_2="c")
        np.testing.assert_array_equal(file.read(1), labels)
        assert set(np.unique(file.read(1, out_shape=(272, 320)))) <= set(np.unique(labels))
    picture = colours[labels]
    parts = (picture[row : row + 512] for row in range(0, 1088, 512))
    write_picture(tmp_path / "b.tif", labels.shape, parts, where)
    with rasterio.open(tmp_path / "b.tif") as file:
        assert (file.count, file.shape, file.crs) == (3, labels.shape, where.crs)
        assert abs(np.moveaxis(file.read(), 0, 2)[60:].astype(int) - picture[60:]).mean() < 8


def test_tags_of_any_program(tmp_path: Path) -> None:
    """Scale and tie point alone are a position; a plain TIFF and another format have none."""
    scenes.draw_nodata(tmp_path)
    where = georeference(tmp_path / "nodata.tif")
    assert where is not None and where.crs is None
    assert where.transform == rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 4e6)
    tifffile.imwrite(tmp_path / "plain.tif", scenes.scene(0)[0], photometric="rgb")
    assert georeference(tmp_path / "plain.tif") is None
    assert georeference(scenes.save(tmp_path / "a.png", scenes.scene(0)[0])) is None


def test_a_world_file_is_a_position(tmp_path: Path) -> None:
    """Of a JPEG; not of one whose EXIF tag turns it, for its rows are others then."""
    from PIL import Image

    exif = Image.Exif()
    for name, orientation in (("a", 1), ("b", 3)):
        exif[274] = orientation
        Image.fromarray(scenes.scene(0)[0]).save(tmp_path / f"{name}.jpg", exif=exif)
        (tmp_path / f"{name}.jgw").write_text("0.5\n0\n0\n-0.5\n368000.25\n5807999.75\n")
    where = georeference(tmp_path / "a.jpg")
    assert where is not None and where.crs is None
    assert where.transform == rasterio.Affine(0.5, 0, 368000, 0, -0.5, 5808000)
    assert georeference(tmp_path / "b.jpg") is None


@pytest.mark.parametrize(
    ("epsg", "area"), [(32633, 6.0), (2222, 6 * 0.3048**2), (2227, 6 * (1200 / 3937) ** 2)]
)
def test_the_area_of_a_pixel(epsg: int, area: float) -> None:
    """Square metres, of two kinds of feet as well, in a turned raster."""
    crs = rasterio.crs.CRS.from_epsg(epsg)
    found = Georeference(crs, rasterio.Affine(0, -2, 9, 3, 0, 9)).pixel_areas(4)
    np.testing.assert_allclose(found, [area] * 4)


def test_pixels_in_degrees_are_measured_on_the_earth() -> None:
    """The whole earth has 510.0656 million km2; Web Mercator has the ground's metres."""
    degrees = rasterio.crs.CRS.from_epsg(4326)
    earth = Georeference(degrees, rasterio.Affine(1, 0, -180, 0, -1, 90)).pixel_areas(180)
    assert earth is not None and 360 * earth.sum() / 1e12 == pytest.approx(510.0656, abs=1e-3)
    corners = rasterio.warp.transform_bounds(4326, 3857, 13.0, 52.0, 13.01, 52.01)
    in_degrees = Georeference(degrees, rasterio.Affine(0.01, 0, 13, 0, -0.01, 52.01))
    size = corners[2] - corners[0], corners[1] - corners[3]
    web = rasterio.Affine(size[0], 0, corners[0], 0, size[1], corners[3])
    in_mercator = Georeference(rasterio.crs.CRS.from_epsg(3857), web)
    np.testing.assert_allclose(in_mercator.pixel_areas(1), in_degrees.pixel_areas(1), rtol=1e-6)


def test_why_there_is_no_area() -> None:
    """No system, no scale, degrees that are turned: a sentence each, and no number."""
    utm, degrees = (rasterio.crs.CRS.from_epsg(code) for code in (32633, 4326))
    turned = rasterio.Affine(1, 0.5, 0, 0.5, -1, 0)
    for where, why in (
        (Georeference(None, TRANSFORM), "coordinate system is not said"),
        (Georeference(utm, rasterio.Affine.identity()), "control points or a camera"),
        (Georeference(degrees, turned), "it is turned"),
    ):
        assert why in where.no_scale() and where.pixel_areas(3) is None


def test_without_rasterio_the_log_says_once_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the command that installs it, for georeferenced images alone."""
    said: list[str] = []
    monkeypatch.setattr(module, "print_log", lambda text, **_: said.append(text))
    monkeypatch.setattr("sgseg.io.gdal.installed", lambda: False)
    module._say_what_is_lost.cache_clear()
    tifffile.imwrite(tmp_path / "plain.tif", scenes.scene(0)[0], photometric="rgb")
    assert georeference(tmp_path / "plain.tif") is None and not said
    scenes.draw_nodata(tmp_path, count=2)
    for path in sorted(tmp_path.glob("nodata*")):
        assert georeference(path) is None
    assert len(said) == 1 and "pip install 'sgseg[geo]'" in said[0]
    module._say_what_is_lost.cache_clear()
