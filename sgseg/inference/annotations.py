"""A prediction in the formats of tools that label by hand: COCO, labelme, CVAT.

They are written from the label maps of all finished images, below ``OUT/annotations``.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..io.atomic import replacing
from ..io.images import read_label
from ..io.jsonfile import write_json
from ..ops.matching import IGNORE

if TYPE_CHECKING:
    from .folder import Prediction

KINDS = ("coco", "labelme", "cvat")
NOTHING = "__ignore__"
"""labelme's name for pixels that are no class."""
Labels = npt.NDArray[np.uint8]


def write_annotations(prediction: Prediction, kind: str) -> Path:
    """Write the annotations of all finished images; returns the file or folder.

    Args:
        prediction: whose label maps are read.
        kind: ``coco``: ``coco.json``, a mask (RLE) an image and class; ``labelme``: a folder of
            JSON files with polygons, which name their images; ``cvat``: ``cvat.zip``, CVAT's
            "Segmentation mask 1.1".

    Raises:
        RuntimeError: for ``coco`` without pycocotools.
        ValueError: for another kind.
    """
    writers: dict[str, Callable[[Prediction, Path], Path]] = dict(
        coco=_write_coco, labelme=_write_labelme, cvat=_write_cvat
    )
    if kind not in writers:
        raise ValueError(f"--annotations {kind}: choose of {', '.join(KINDS)}")
    return writers[kind](prediction, prediction.out / "annotations")


def demand_tools(kinds: list[str]) -> None:
    """RuntimeError, before anything is segmented, for a package that is missing."""
    if "coco" in kinds:
        try:
            import pycocotools.mask  # noqa: F401
        except ImportError as error:
            raise RuntimeError(
                "--annotations coco needs pycocotools: pip install 'sgseg[annotate]'"
            ) from error


def _maps(prediction: Prediction) -> Iterator[tuple[str, Labels]]:
    """Each finished image: its name, its label map."""
    files = prediction.manifest.files("labels")
    return ((image, read_label(path).astype(np.uint8)) for image, path in files.items())


def _write_coco(prediction: Prediction, folder: Path) -> Path:
    from pycocotools import mask as coco

    classes = prediction.segmenter.classes
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (image, labels) in enumerate(_maps(prediction), 1):
        height, width = labels.shape
        images.append(dict(id=number, file_name=image, height=height, width=width))
        for value in np.unique(labels[labels != IGNORE]).tolist():
            code = coco.encode(np.asfortranarray(labels == value, np.uint8))
            found = dict(area=int(coco.area(code)), bbox=coco.toBbox(code).tolist())
            segmentation = dict(size=[height, width], counts=code["counts"].decode())
            annotations.append(
                dict(id=len(annotations) + 1, image_id=number, category_id=value + 1, iscrowd=0)
                | dict(segmentation=segmentation)
                | found
            )
    # From 1 on: readers of COCO take category 0 for the background.
    categories = [dict(id=v + 1, name=n, supercategory="") for v, n in enumerate(classes)]
    content = dict(info=dict(description="sgseg"), licenses=[], images=images)
    write_json(folder / "coco.json", content | dict(annotations=annotations, categories=categories))
    return folder / "coco.json"


def _write_labelme(prediction: Prediction, folder: Path) -> Path:
    classes = prediction.segmenter.classes
    folder = folder / "labelme"
    for image, labels in _maps(prediction):
        file = folder / f"{prediction.manifest.names[image]}.json"
        height, width = labels.shape
        content = dict(
            version="5.5.0",
            flags={},
            shapes=_shapes(labels, classes),
            imagePath=_seen_from(file.parent, prediction.root, image),
            imageData=None,
            imageHeight=height,
            imageWidth=width,
        )
        write_json(file, content)
    return folder


def _seen_from(folder: Path, root: Path | str, image: str) -> str:
    """The way from a folder to an image, or its URI."""
    if isinstance(root, str):
        return f"{root}/{image}"
    return os.path.relpath((root / image).resolve(), folder.resolve())


def _shapes(labels: Labels, classes: list[str]) -> list[dict[str, Any]]:
    """Outlines through the outermost pixels of each piece, the largest first.

    labelme's polygons have no holes and are painted in their order: what lies in a hole comes
    later, and covers it.
    """
    import cv2

    found: list[tuple[float, str, Any]] = []
    for value in np.unique(labels).tolist():
        name = NOTHING if value == IGNORE else classes[value]
        mask = (labels == value).astype(np.uint8)
        lines, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        if levels is None:
            continue
        outer = [line for line, level in zip(lines, levels[0], strict=True) if level[3] < 0]
        found += [(cv2.contourArea(line), name, line[:, 0]) for line in outer]
    found.sort(key=lambda each: -each[0])
    return [
        dict(
            label=name,
            # labelme wants three points of a polygon; a piece of one or two pixels repeats one.
            points=(points.tolist() * 3 if len(points) < 3 else points.tolist()),
            group_id=None,
            description="",
            shape_type="polygon",
            flags={},
        )
        for _, name, points in found
    ]


def _write_cvat(prediction: Prediction, folder: Path) -> Path:
    from PIL import Image

    classes, colours = prediction.segmenter.classes, prediction.segmenter.colours
    names: list[str] = []
    with (
        replacing(folder / "cvat.zip") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for image, labels in _maps(prediction):
            names.append(Path(image).with_suffix("").as_posix())
            picture = io.BytesIO()
            # The colour of 255 is black, which the list below calls background.
            Image.fromarray(colours[labels]).save(picture, "PNG")
            archive.writestr(f"SegmentationClass/{names[-1]}.png", picture.getvalue())
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for name, colour in zip(classes, colours.tolist(), strict=False):
            lines.append(f"{name.replace(':', ' ')}:{','.join(map(str, colour))}::")
        archive.writestr("labelmap.txt", "\n".join(lines) + "\n")
        archive.writestr("ImageSets/Segmentation/default.txt", "\n".join(names) + "\n")
    return folder / "cvat.zip"
