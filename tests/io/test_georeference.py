"""A label map lies where its image lies, with rasterio; without it the log says what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sgseg.io import georeference as module
from sgseg.io.georeference import Georeference, georeference, write_geotiff
from tests.field import scenes

rasterio = pytest.importorskip("rasterio")
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
    write_geotiff(tmp_path / "labels.tif", labels, where)
    with rasterio.open(image) as given, rasterio.open(tmp_path / "labels.tif") as found:
        assert (found.crs, found.transform) == (given.crs, given.transform)
        assert [p.asdict() | dict(id=0) for p in found.gcps[0]] == [
            p.asdict() | dict(id=0) for p in given.gcps[0]
        ]
        assert found.gcps[1] == given.gcps[1] and found.nodata == 255
        assert (found.rpcs and found.rpcs.to_dict()) == (given.rpcs and given.rpcs.to_dict())
        np.testing.assert_array_equal(found.read(1), labels)


def test_tags_of_any_program(tmp_path: Path) -> None:
    """Scale and tie point alone are a position; a plain TIFF and another format have none."""
    scenes.draw_nodata(tmp_path)
    where = georeference(tmp_path / "nodata.tif")
    assert where is not None and where.crs is None
    assert where.transform == rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 4e6)
    tifffile.imwrite(tmp_path / "plain.tif", scenes.scene(0)[0], photometric="rgb")
    assert georeference(tmp_path / "plain.tif") is None
    assert georeference(scenes.save(tmp_path / "a.png", scenes.scene(0)[0])) is None


@pytest.mark.parametrize(
    ("epsg", "area"),
    [
        (32633, (6.0, "m2")),
        (2222, (6.0, "ft2")),
        (2227, (6.0, "US survey ft2")),
        (4326, None),
        (None, (6.0, "map units2")),
    ],
)
def test_the_area_of_a_pixel(epsg: int | None, area: tuple[float, str] | None) -> None:
    """Metres, two kinds of feet, degrees, and a system that is not said, in a turned raster."""
    crs = rasterio.crs.CRS.from_epsg(epsg) if epsg else None
    assert Georeference(crs, rasterio.Affine(0, -2, 9, 3, 0, 9)).pixel_area() == area
    assert Georeference(crs, rasterio.Affine.identity()).pixel_area() is None


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
