"""Polygons of a label map: its connected pieces, with straight borders and small ones joined.

Pieces are 4-connected. GDAL traces them (rasterio); GEOS simplifies all of an image at once
(shapely), so that neighbours keep one common border. Both come with the extra ``geo``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..io.gdal import INSTALL
from ..io.georeference import Georeference
from ..ops.matching import IGNORE


class Region(NamedTuple):
    """A connected piece of one class."""

    value: int
    geometry: Any
    """shapely's Polygon: in the image's coordinate system, else in pixels, x right and y down."""
    area: float
    """Square metres where the scale is known, else pixels."""


def regions(
    labels: npt.NDArray[np.uint8],
    where: Georeference | None = None,
    simplify: float = 0.0,
    smallest_area: float = 0.0,
) -> list[Region]:
    """The pieces of a label map (H, W) as polygons; 255 is no data and gives none.

    Args:
        labels: the map.
        where: its position on the ground.
        simplify: how far a border may be straightened, in pixels; 0 keeps every corner of a pixel.
        smallest_area: smaller pieces become part of the neighbour with the longest border, in
            square metres where the scale is known, else in pixels.

    Raises:
        RuntimeError: without the packages of ``sgseg[geo]``.
        ValueError: for a negative number.
    """
    if simplify < 0 or smallest_area < 0:
        raise ValueError(
            f"polygons: simplify = {simplify} and smallest_area = {smallest_area} must be >= 0"
        )
    try:
        import shapely
        from rasterio import features
    except ImportError as error:
        raise RuntimeError(f"polygons need rasterio and shapely: {INSTALL}") from error
    ground = where.pixel_areas(len(labels)) if where else None
    least = smallest_area / (1.0 if ground is None else float(ground.mean()))
    known = labels != IGNORE
    if least > 1:
        labels = features.sieve(labels, int(np.ceil(least)), mask=known, connectivity=4)
    pieces = list(features.shapes(labels, mask=known, connectivity=4))
    shapes = np.array([_polygon(piece["coordinates"]) for piece, _ in pieces], object)
    values = np.array([int(value) for _, value in pieces], int)
    if simplify and len(shapes):
        # A corner of each pixel on a border: neighbours must share all their points.
        steps = shapely.transform(shapely.segmentize(shapes, 1.0), np.round)
        shapes = shapely.coverage_simplify(steps, simplify)
    sizes = shapely.area(shapes)
    kept = sizes >= least if least > 1 else sizes > 0  # an island in no data has no neighbour
    shapes, values, sizes = shapes[kept], values[kept], sizes[kept]
    if ground is not None and len(shapes):
        rows = shapely.centroid(shapes)
        sizes = sizes * ground[shapely.get_y(rows).astype(int).clip(0, len(ground) - 1)]
    if where is not None:
        shapes = shapely.transform(shapes, where.coordinates)
    return [Region(int(v), g, float(a)) for v, g, a in zip(values, shapes, sizes, strict=True)]


def _polygon(rings: Any) -> Any:
    from shapely import Polygon

    return Polygon(rings[0], rings[1:])
