"""Maps, areas and polygons of the whole folder under the names of the page, to download."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..inference import BadImagesError, segment_folder
from .naming import Naming


def whole_folder(
    naming: Naming, folder: Path, watch: Callable[..., Iterable[Any]]
) -> tuple[list[Path], str]:
    """What ``sgseg predict --names`` writes of the folder: areas, and everything as a zip.

    Args:
        naming: the names.
        folder: where the files go.
        watch: shows how far it is; called with the results and ``total=``.

    Returns:
        The files, and a sentence on what they are.

    Raises:
        ValueError, OSError: as :func:`segment_folder`, but images that cannot be read are named in
            the sentence.
    """
    work = Path(tempfile.mkdtemp(prefix="whole_", dir=folder))
    out = work / "maps"
    results = segment_folder(naming.named_segmenter(), naming.folder, out, pictures=False)
    left_out = ""
    done = 0
    try:
        for _ in watch(results, total=naming.total):
            done += 1
    except BadImagesError as error:
        left_out = f" {len(error.faults)} images could not be read; outputs.csv names them."
    areas = shutil.copy(out / "areas.csv", work / "areas.csv")
    maps = shutil.make_archive(str(work / "maps"), "zip", out)
    shutil.rmtree(out)
    return [Path(areas), Path(maps)], f"Maps and areas of {done} images are ready.{left_out}"
