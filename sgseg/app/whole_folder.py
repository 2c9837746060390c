"""Maps, areas and polygons of the whole folder under the names of the page, to download."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..inference.folder import BadImagesError, Prediction
from ..inference.vectors import Trace, write_polygons
from .naming import Naming


def whole_folder(
    naming: Naming, folder: Path, watch: Callable[..., Iterable[Any]]
) -> tuple[list[Path], str]:
    """What ``sgseg predict --names --polygons`` writes: areas, a zip of all, and polygons.

    Args:
        naming: the names.
        folder: where the files go.
        watch: shows how far it is; called with the results and ``total=``.

    Returns:
        ``areas.csv``, ``maps.zip``, and ``polygons.gpkg`` where the extra ``geo`` is installed;
        and a sentence on what they are, which counts the images that could not be read.

    Raises:
        ValueError, OSError: as :class:`Prediction`.
    """
    work = Path(tempfile.mkdtemp(prefix="whole_", dir=folder))
    out = work / "maps"
    prediction = Prediction(naming.named_segmenter(), naming.folder, out)
    bad = 0
    try:
        for _ in watch(prediction, total=len(prediction.paths)):
            pass
    except BadImagesError as error:
        bad = len(error.faults)
    said = f"Maps and areas of {len(prediction.paths) - bad} images are ready."
    said += f" {bad} could not be read." if bad else ""
    files = [Path(shutil.copy(out / "areas.csv", work / "areas.csv"))]
    files.append(Path(shutil.make_archive(str(work / "maps"), "zip", out)))
    try:
        polygons = Trace(work / "polygons.gpkg").checked()
    except RuntimeError as error:
        said += f" Without polygons: {error}"
    else:
        write_polygons(prediction, polygons)
        files.append(polygons.path)
    shutil.rmtree(out)
    return files, said
