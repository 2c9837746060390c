"""The polygons of a prediction in one file: GeoPackage or GeoJSON, written by pyogrio."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from ..io.gdal import INSTALL
from ..io.georeference import Georeference, georeference
from ..io.images import read_label
from ..labelmaps.polygons import Region, regions

if TYPE_CHECKING:
    from .folder import Prediction

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
_DEGREES = "EPSG:4326"


class Trace(NamedTuple):
    """What is asked for."""

    path: Path
    simplify: float = 0.0
    smallest_area: float = 0.0

    def checked(self) -> Trace:
        """Itself; an error for a file of another kind, wrong numbers, or what is not installed.

        Raises:
            ValueError, RuntimeError: in one sentence.
        """
        if self.path.suffix.lower() not in DRIVERS:
            raise ValueError(f"--polygons {self.path}: wanted is a file .gpkg or .geojson")
        if self.simplify < 0 or self.smallest_area < 0:
            raise ValueError("--simplify and --smallest-area: 0 or more")
        try:
            import pyogrio  # noqa: F401
            import rasterio  # noqa: F401
            import shapely  # noqa: F401
        except ImportError as error:
            raise RuntimeError(f"--polygons needs {error.name}: {INSTALL}") from error
        return self


def write_polygons(prediction: Prediction, trace: Trace) -> int:
    """Write the polygons of all finished images into one layer; returns how many there are.

    Fields: ``image``, ``class`` (its value), ``name``, ``area`` and its ``unit`` (``m2`` or
    ``pixels``). A GeoPackage has the coordinate system of the first image that has one, a GeoJSON
    degrees (WGS 84), as its standard wants; images without one stand in pixels, x to the right
    and y down, in a file of their own kind only.

    Raises:
        ValueError, RuntimeError: see :meth:`Trace.checked`, and without rasterio.
    """
    import shapely
    from pyogrio.raw import write

    maps = list(_maps(prediction))
    system = next((w.system for _, _, w in maps if w and w.system), None)
    if system is not None and trace.path.suffix.lower() == ".geojson":
        system = _DEGREES
    rows: list[tuple[str, Region, str]] = []
    for image, path, where in maps:
        if system is not None and (where is None or where.system is None):
            print_log(
                f"{image}: has no coordinate system, so its polygons are not in {trace.path}",
                logger="current",
                level=logging.WARNING,
            )
            continue
        labels = read_label(path).astype(np.uint8)
        unit = "m2" if where and not where.no_scale() else "pixels"
        found = regions(labels, where, trace.simplify, trace.smallest_area)
        rows += [(image, _moved(region, where, system), unit) for region in found]
    classes = prediction.segmenter.classes
    fields: dict[str, Any] = {
        "image": np.array([image for image, _, _ in rows], object),
        "class": np.array([region.value for _, region, _ in rows], np.int32),
        "name": np.array([classes[region.value] for _, region, _ in rows], object),
        "area": np.array([region.area for _, region, _ in rows], np.float64),
        "unit": np.array([unit for _, _, unit in rows], object),
    }
    trace.path.parent.mkdir(parents=True, exist_ok=True)
    part = trace.path.with_name(f"{trace.path.stem}.part{trace.path.suffix}")
    part.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)  # pixels have none
        write(
            part,
            geometry=shapely.to_wkb(np.array([region.geometry for _, region, _ in rows], object)),
            field_data=list(fields.values()),
            fields=list(fields),
            layer="classes",
            driver=DRIVERS[trace.path.suffix.lower()],
            geometry_type="Polygon",
            crs=None if system is None else getattr(system, "to_wkt", lambda: system)(),
        )
    os.replace(part, trace.path)
    return len(rows)


def _maps(prediction: Prediction) -> Iterator[tuple[str, Path, Georeference | None]]:
    for image, path in prediction.manifest.files("labels").items():
        yield image, path, georeference(path)


def _moved(region: Region, where: Georeference | None, system: Any) -> Region:
    """A region in the coordinate system of the file."""
    import shapely
    from rasterio.warp import transform

    if where is None or system is None or where.system == system:
        return region

    def warped(points: Any) -> Any:
        x, y = transform(where.system, system, points[:, 0], points[:, 1])[:2]
        return np.column_stack([x, y])

    return region._replace(geometry=shapely.transform(region.geometry, warped))
