"""Superpixels held against human segmentations: tables, every number, and a contact sheet.

Every method's labels are split into connected regions and small ones joined (at least 0.06 of the
mean size, at most as many as asked for) before they are scored; how many pieces there were before
is counted. Measures: :mod:`sgseg.labelmaps.quality`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..io.atomic import write_atomically
from ..io.images import read_image, write_png
from ..io.jsonfile import read_json, write_json
from ..io.progress import usable_cores
from ..labelmaps.connectivity import connected_pieces, enforce_connectivity, smallest_size
from ..labelmaps.quality import quality
from ..visualization import draw_borders, picture_strip
from .report import as_csv, grid
from .superpixel_methods import Method

Tell = Callable[[int, int], None]
Record = dict[str, Any]

COLUMNS = {
    "regions": "regions",
    "asa": "ASA",
    "ue": "UE",
    "br": "BR",
    "bp": "BP",
    "co": "CO",
    "ev": "EV",
    "best_asa": "best ASA",
    "best_br": "best BR",
    "live": "live",
    "pieces": "pieces",
    "size_p5": "size 5 %",
    "size_median": "median",
    "size_p95": "95 %",
    "cpu_seconds": "CPU s/image",
}
"""Columns of the Markdown table; the CSV has all there are."""


class Annotated(NamedTuple):
    """An image and the segmentations of several people."""

    name: str
    image: npt.NDArray[np.uint8]
    """(H, W, 3)."""
    truths: npt.NDArray[Any]
    """(K, H, W)."""


def annotated_names(root: str | Path, limit: int | None = None) -> list[str]:
    """Images of a folder laid out as BSDS500 is here: ``images/NAME.jpg``, ``gt/NAME.npz``.

    Args:
        root: the folder; ``gt`` holds ``segs``, (K, H, W) integers, one map an annotator.
        limit: take so many, evenly over the sorted names.

    Raises:
        FileNotFoundError: without images, or for an image without segmentations.
    """
    names = sorted(path.stem for path in (Path(root) / "images").glob("*.jpg"))
    if not names:
        raise FileNotFoundError(
            f"{root}: no images/*.jpg; wanted are images/NAME.jpg and "
            "gt/NAME.npz with the people's segmentations, as the BSDS500 has them"
        )
    missing = [name for name in names if not (Path(root) / "gt" / f"{name}.npz").is_file()]
    if missing:
        raise FileNotFoundError(f"{root}: gt/{missing[0]}.npz and {len(missing) - 1} more missing")
    return _evenly(names, len(names) if limit is None else limit)


def read_annotated(root: str | Path, name: str) -> Annotated:
    """One image of :func:`annotated_names`."""
    image = read_image(Path(root) / "images" / f"{name}.jpg", 3)
    with np.load(Path(root) / "gt" / f"{name}.npz") as file:
        return Annotated(name, image, file["segs"])


def _evenly(names: Sequence[str], count: int) -> list[str]:
    return [names[i] for i in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]


def superpixel_report(
    root: str | Path,
    methods: Sequence[Method],
    out: str | Path,
    limit: int | None = None,
    pictures: int = 4,
    tell: Tell = lambda done, total: None,
) -> list[Record]:
    """Score methods and write ``report.{md,csv,json}`` and ``contact_sheet.png`` into ``out``.

    A method that stands finished in ``out``, on the same images and with the same settings, is
    not measured again.

    Args:
        root: see :func:`annotated_names`.
        methods: rows of the table.
        out: output folder.
        limit: images, evenly over the set; default all.
        pictures: images on the contact sheet.
        tell: called with (done, all) after each image of each method.

    Returns:
        One record a method: its means over the images, of the times the medians.

    Raises:
        ValueError: without methods; FileNotFoundError: see :func:`annotated_names`.
    """
    out = Path(out)
    if not methods:
        raise ValueError("superpixel_report: no methods; name some, or give a trained model")
    names = annotated_names(root, limit)
    shown = _evenly(names, pictures)
    records, maps = [], []
    for number, method in enumerate(methods):
        before, total = number * len(names), len(methods) * len(names)

        def advance(done: int, before: int = before, total: int = total) -> None:
            tell(before + done, total)

        record, labels = _measured(root, method, names, shown, out / "methods", advance)
        advance(len(names))
        records.append(record)
        maps.append(labels)
    means = [_means(record) for record in records]
    heads = ["method", "N", "images", *COLUMNS.values()]
    cells = [
        [row["method"], str(row["count"]), str(row["images"])]
        + [_cell(name, row[name]) for name in COLUMNS]
        for row in means
    ]
    write_atomically(out / "report.md", "\n".join([*grid(heads, cells), ""]).encode())
    write_atomically(out / "report.csv", as_csv(means).encode())
    machine = dict(cores=usable_cores(), threads=torch.get_num_threads(), torch=torch.__version__)
    write_json(out / "report.json", dict(machine=machine, methods=records))
    write_png(out / "contact_sheet.png", _contact_sheet(root, shown, means, maps))
    return means


def measure_image(method: Method, item: Annotated) -> tuple[Record, npt.NDArray[np.int64]]:
    """All measures of one image, and its connected superpixels.

    ``seconds`` is from the image to connected superpixels, by the clock; ``cpu_seconds`` is what
    this process computed in them, on all its threads, which a busy machine does not lengthen.
    """
    height, width = item.image.shape[:2]
    started, computed = time.perf_counter(), time.process_time()
    raw = method.segment(item.image)
    regions = enforce_connectivity(raw, smallest_size(height, width, method.count), method.count)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - computed
    sizes = np.bincount(regions.ravel())
    p5, median, p95 = (float(value) for value in np.percentile(sizes, (5, 50, 95)))
    measures = dict(
        name=item.name,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        live=len(np.unique(raw)),
        pieces=int(connected_pieces(raw).max()) + 1,
        regions=len(sizes),
        size_p5=p5,
        size_median=median,
        size_p95=p95,
        size_largest=int(sizes.max()),
    )
    return measures | quality(regions, item.truths, item.image), regions


def _measured(
    root: str | Path,
    method: Method,
    names: Sequence[str],
    shown: list[str],
    folder: Path,
    tell: Callable[[int], None],
) -> tuple[Record, dict[str, npt.NDArray[Any]]]:
    """The record and the shown label maps of a method, read back if they are there."""
    stem = f"{method.name}_{method.count}".replace("/", "_").replace(" ", "_")
    wanted = dict(method=method.name, count=method.count, settings=method.settings)
    finished = _finished(folder / stem, wanted, names, shown)
    if finished is not None:
        return finished
    images: list[Record] = []
    labels: dict[str, Any] = {}
    for name in names:
        measures, regions = measure_image(method, read_annotated(root, name))
        images.append(measures)
        if name in shown:
            labels[name] = regions.astype(np.int32)
        tell(len(images))
    record = wanted | dict(threads=torch.get_num_threads(), images=images)
    packed = io.BytesIO()
    np.savez_compressed(packed, **labels)
    write_atomically(folder / f"{stem}.npz", packed.getvalue())
    # Last: it says that the method is done.
    write_json(folder / f"{stem}.json", record)
    return record, labels


def _finished(
    stem: Path, wanted: Record, names: Sequence[str], shown: list[str]
) -> tuple[Record, dict[str, npt.NDArray[Any]]] | None:
    """What an earlier call wrote of a method, if it was of the same images and settings."""
    file, labels_file = stem.parent / f"{stem.name}.json", stem.parent / f"{stem.name}.npz"
    if not (file.is_file() and labels_file.is_file()):
        return None
    record = read_json(file)
    with np.load(labels_file) as stored:
        labels = {name: stored[name] for name in stored.files}
    same = all(record[key] == value for key, value in wanted.items())
    same = same and [one["name"] for one in record["images"]] == names
    return (record, labels) if same and sorted(labels) == shown else None


def _means(record: Record) -> Record:
    """Means over the images; of the times the medians, for one stall is not the method's."""
    names = [name for name in record["images"][0] if name != "name"]
    values = {name: [one[name] for one in record["images"]] for name in names}
    mean = {
        name: float((np.median if name.endswith("seconds") else np.mean)(of_images))
        for name, of_images in values.items()
    }
    return dict(method=record["method"], count=record["count"], images=len(record["images"])) | mean


def _cell(name: str, value: float) -> str:
    if name == "cpu_seconds":
        return f"{value:.2g}"
    counted = name in ("live", "pieces", "regions") or name.startswith("size")
    return f"{value:.0f}" if counted else f"{value:.3f}"


def _contact_sheet(
    root: str | Path,
    shown: Sequence[str],
    means: Sequence[Record],
    maps: Sequence[dict[str, npt.NDArray[Any]]],
) -> npt.NDArray[np.uint8]:
    """One row an image: the image, the first annotator's borders, each method's."""
    rows = []
    for name in shown:
        item = read_annotated(root, name)
        truth = draw_borders(item.image, item.truths[0], (255, 0, 0), 1)
        row = [item.image, truth]
        row += [draw_borders(item.image, labels[name], scale=1) for labels in maps]
        rows.append(row)
    titles = ["image", "annotator", *(f"{m['method']} {m['count']}" for m in means)]
    return picture_strip(rows, titles, side=320)
