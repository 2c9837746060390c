"""Carry the georeference of a GeoTIFF over to its label map, by rasterio (extra ``geo``)."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

from ..ops.matching import IGNORE
from . import gdal
from .tiff import GEO_TAGS, holds_tiff, open_tiff

_AREA_UNITS = {"metre": "m2", "foot": "ft2", "US survey foot": "US survey ft2"}


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

    def pixel_area(self) -> tuple[float, str] | None:
        """Area of a pixel and its unit; None where it is not known, or not the same everywhere.

        In degrees it is not the same everywhere. Without a known unit it is in ``map units2``.
        """
        area = abs(self.transform.determinant)
        if self.transform.is_identity or area == 0:
            return None
        if self.crs is None:
            return area, "map units2"
        if self.crs.is_geographic:
            return None
        return area, _AREA_UNITS.get(self.crs.linear_units, "map units2")


def georeference(path: Path) -> Georeference | None:
    """The georeference of a TIFF, or None where it has none.

    Without rasterio it is None of every file, and the log says once what is lost.
    """
    if not holds_tiff(path):
        return None
    if not gdal.installed():
        with open_tiff(path) as (page, _):
            if any(code in page.tags for code in GEO_TAGS):
                _say_what_is_lost()
        return None
    with gdal.opened(path) as file:
        gcps, gcp_crs = file.gcps
        found = Georeference(gcp_crs if gcps else file.crs, file.transform, gcps, file.rpcs)
    located = found.crs or gcps or found.rpcs or not found.transform.is_identity
    return found if located else None


@cache
def _say_what_is_lost() -> None:
    print_log(
        "images have a georeference that label maps and areas will not have: rasterio is needed "
        f"for that, {gdal.INSTALL}",
        logger="current",
        level=logging.WARNING,
    )


def write_geotiff(path: Path, labels: npt.NDArray[np.uint8], where: Georeference) -> None:
    """Write a label map (H, W), deflated, at the position ``where``; 255 is no data."""
    position = dict(gcps=where.gcps) if where.gcps else dict(transform=where.transform)
    height, width = labels.shape
    with gdal.opened(
        path,
        mode="w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype="uint8",
        nodata=IGNORE,
        compress="deflate",
        bigtiff="if_safer",
        crs=where.crs,
        rpcs=where.rpcs,
        **position,
    ) as file:
        file.write(labels, 1)
