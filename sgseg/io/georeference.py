"""Where a raster lies on the ground, read and written by rasterio (extra ``geo``)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..ops.matching import IGNORE
from . import gdal
from .badfile import BadFileError
from .orientation import read_header
from .tiff import GEO_TAGS, holds_tiff, open_tiff, orientation_of

BLOCK = 512
"""Pixels of a side of the tiles of a raster that is written; rows are handed over in multiples."""
_SMALLEST_OVERVIEW = 256
_CAMERA_TAG = 50844
"""Of a TIFF: rational polynomial coefficients."""
_HEAD = 2**18
_A, _E2 = 6378137.0, 0.00669437999014
"""WGS 84: metres of the half axis of the equator, square of the eccentricity."""
_MERCATOR = 3857

Array = npt.NDArray[Any]
Areas = npt.NDArray[np.float64]


class Georeference(NamedTuple):
    """What GDAL knows of a raster's position, in rasterio's types."""

    crs: Any
    """Coordinate system of the transform or the control points; None where it is not said."""
    transform: Any
    """Affine map from pixels to coordinates."""
    gcps: Any = ()
    """Ground control points, where there is no transform."""
    rpcs: Any = None
    """Rational polynomial coefficients of a satellite's camera."""

    def pixel_areas(self, height: int) -> Areas | None:
        """Square metres of a pixel in each of the rows, (H,); None where :meth:`no_scale` says why.

        In a projected system they are those of the projection, feet turned into metres. In
        degrees, and in Web Mercator whose metres are none away from the equator, they are those
        of the ellipsoid WGS 84.
        """
        if self.no_scale():
            return None
        step = self.transform
        rows = step.f + step.e * np.arange(height + 1)
        if self.crs.is_geographic:
            return _on_ellipsoid(np.radians(rows), np.radians(step.a))
        if self.crs.to_epsg() == _MERCATOR:
            return _on_ellipsoid(np.arctan(np.sinh(rows / _A)), step.a / _A)
        _, metres = self.crs.linear_units_factor
        return np.full(height, abs(step.determinant) * metres**2)

    def no_scale(self) -> str:
        """Why the area of a pixel is not known; empty where it is."""
        if self.transform.is_identity or self.transform.determinant == 0:
            return "it has control points or a camera model instead of a scale: warp it first"
        if self.crs is None:
            return "its coordinate system is not said: give it one (gdal_edit -a_srs EPSG:...)"
        bent = self.crs.is_geographic or self.crs.to_epsg() == _MERCATOR
        if bent and (self.transform.b or self.transform.d):
            return "it is turned, in degrees or Web Mercator: warp it first"
        if not bent and not self.crs.is_projected:
            return "its coordinate system is neither projected nor geographic: warp it first"
        return ""

    def coordinates(self, pixels: Array) -> Array:
        """Coordinates (n, 2) of corners of pixels (n, 2), column and row, by whatever is known."""
        from rasterio.transform import GCPTransformer, RPCTransformer

        columns, rows = pixels[:, 0], pixels[:, 1]
        if self.gcps:
            with GCPTransformer(self.gcps) as known:
                return np.column_stack(known.xy(rows, columns, offset="ul"))
        if self.rpcs is not None and self.transform.is_identity:
            with RPCTransformer(self.rpcs) as known:
                return np.column_stack(known.xy(rows, columns, offset="ul"))
        a, b, c, d, e, f = tuple(self.transform)[:6]
        return np.column_stack([a * columns + b * rows + c, d * columns + e * rows + f])

    @property
    def system(self) -> Any:
        """Coordinate system of :meth:`coordinates`; a camera model gives degrees."""
        from rasterio.crs import CRS

        camera = self.crs is None and self.rpcs is not None and self.transform.is_identity
        return CRS.from_epsg(4326) if camera and not self.gcps else self.crs


def _on_ellipsoid(latitudes: Areas, width: float) -> Areas:
    """Square metres between neighbouring latitudes, ``width`` radians wide, on WGS 84."""
    e = np.sqrt(_E2)
    sine = np.sin(latitudes)
    # Area from the equator to a latitude, for one radian of longitude.
    zone = sine / (1 - _E2 * sine**2) + np.arctanh(e * sine) / e
    return np.abs(np.diff(zone) * width) * _A**2 * (1 - _E2) / 2


def georeference(path: Path) -> Georeference | None:
    """The georeference of an image, a world file beside it included; None where it has none.

    Without rasterio it is None of every file, and the log says once what is lost.
    """
    if path.suffix.lower() == ".npy":
        return None
    if not gdal.installed():
        if is_georeferenced(path):
            _say_what_is_lost()
        return None
    try:
        with gdal.opened(path) as file:
            gcps, gcp_crs = file.gcps
            found = Georeference(gcp_crs if gcps else file.crs, file.transform, gcps, file.rpcs)
    except BadFileError:
        if holds_tiff(path):
            raise
        return None  # a format that GDAL does not know
    if not (found.crs or gcps or found.rpcs or not found.transform.is_identity):
        return None
    if _is_turned(path):
        print_log(
            f"{path}: has a position on the ground and an orientation tag that turns it, so the "
            "position is left out; turn the pixels themselves",
            logger="current",
            level=logging.WARNING,
        )
        return None
    return found


def is_georeferenced(path: Path) -> bool:
    """Whether an image says where it lies, by its tags or a world file; seen without rasterio."""
    if holds_tiff(path):
        with open_tiff(path) as (page, _):
            if any(code in page.tags for code in (*GEO_TAGS, _CAMERA_TAG)):
                return True
    kind = path.suffix[1:]
    world = {f".{kind}w", f".{kind[:1]}{kind[-1:]}w", ".wld"}
    beside = (path.with_suffix(s) for each in world for s in (each, each.upper()))
    return any(map(Path.is_file, beside)) and not _is_turned(path)


def _is_turned(path: Path) -> bool:
    """Whether an image is shown turned, so that the position of its stored rows is not its own."""
    if holds_tiff(path):
        with open_tiff(path) as (page, _):
            return orientation_of(page) != 1
    with path.open("rb") as file:
        return read_header(file.read(_HEAD)).orientation != 1


@cache
def _say_what_is_lost() -> None:
    print_log(
        "images have a georeference that label maps and areas will not have: rasterio is needed "
        f"for that, {gdal.INSTALL}",
        logger="current",
        level=logging.WARNING,
    )


def write_labels(
    path: Path, labels: Array, where: Georeference, colours: Array, classes: Sequence[str]
) -> None:
    """Write a label map (H, W) at the position ``where``, shown in ``colours`` (256, 3).

    255 is declared as no data; the tags ``class_0`` ... of the band name the classes.
    """
    names = {f"class_{value}": name for value, name in enumerate(classes)}
    parts = (labels[row : row + BLOCK] for row in range(0, len(labels), BLOCK))
    shape, options = (*labels.shape, 1), dict(nodata=IGNORE, compress="deflate")
    _write(path, shape, parts, where, options, colours, names)


def write_picture(
    path: Path, shape: tuple[int, int], parts: Iterable[Array], where: Georeference
) -> None:
    """Write an RGB picture (H, W) at ``where``; ``parts`` are (BLOCK rows, W, 3) from the top."""
    options = dict(compress="jpeg", photometric="ycbcr", jpeg_quality=90)
    _write(path, (*shape, 3), parts, where, options)


def _write(
    path: Path,
    shape: tuple[int, int, int],
    parts: Iterable[Array],
    where: Georeference,
    options: Mapping[str, Any],
    colours: Array | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """A GeoTIFF in tiles with overviews, there whole or not at all."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    height, width, bands = shape
    position = dict(gcps=where.gcps) if where.gcps else dict(transform=where.transform)
    profile = dict(driver="GTiff", height=height, width=width, count=bands, dtype="uint8")
    profile |= dict(tiled=True, blockxsize=BLOCK, blockysize=BLOCK, bigtiff="if_safer")
    profile |= dict(crs=where.crs, rpcs=where.rpcs) | position | dict(options)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with gdal.opened(part, mode="w", **profile) as file:
            row = 0
            for each in parts:
                rows = each[None] if each.ndim == 2 else np.moveaxis(each, 2, 0)
                file.write(rows, window=Window(0, row, width, rows.shape[1]))
                row += rows.shape[1]
            if colours is not None:
                table = {v: (*map(int, c), 255) for v, c in enumerate(colours)}
                file.write_colormap(1, table | {IGNORE: (0, 0, 0, 0)})
            file.update_tags(1, **(tags or {}))
        levels = [2**n for n in range(1, 16) if max(height, width) >> n >= _SMALLEST_OVERVIEW]
        if levels:
            how = Resampling.average if colours is None else Resampling.nearest
            with gdal.opened(part, mode="r+") as file:
                file.build_overviews(levels, how)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
