"""The place of a GeoTIFF on the earth, carried over to its label map without a GIS library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE
from .tiff import GEO_TAGS, holds_tiff, tiff_faults

NODATA_TAG = 42113
"""GDAL's: the value that stands for no data, as text."""

Tag = tuple[int, int, int, Any, bool]


def geo_tags(path: Path) -> list[Tag]:
    """The georeference of a TIFF as tifffile writes it; empty where there is none."""
    if not holds_tiff(path):
        return []
    import tifffile

    with tiff_faults(path), tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        found = [tags[code] for code in GEO_TAGS if code in tags]
        return [(tag.code, int(tag.dtype), tag.count, tag.value, True) for tag in found]


def write_geotiff(path: Path, labels: npt.NDArray[np.uint8], tags: list[Tag]) -> None:
    """Write a label map (H, W), deflated, at the place that ``tags`` name; 255 is no data."""
    import tifffile

    tifffile.imwrite(
        path,
        labels,
        photometric="minisblack",
        compression="zlib",
        rowsperstrip=256,
        extratags=[*tags, (NODATA_TAG, "s", 0, str(IGNORE), True)],
        metadata=None,
    )
