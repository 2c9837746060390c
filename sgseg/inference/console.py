"""A prediction as ``sgseg predict`` shows it: a bar, a bar within large images, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .annotations import write_annotations
from .areas import summed
from .folder import BadImagesError, Prediction
from .outputs import PARQUET
from .vectors import Trace, write_polygons

_ALL_BUT = 0.95
"""Share from which one class is hardly a segmentation."""


def predict_aloud(
    prediction: Prediction,
    polygons: Trace | None = None,
    annotations: Sequence[str] = (),
) -> None:
    """Segment what is missing, write what else is asked for, and say what came of it.

    Raises:
        SystemExit: with the list of images that were not segmented, after the others.
    """
    say = Console(soft_wrap=True, highlight=False, markup=False)
    done = len(prediction.paths) - len(prediction.missing)
    if done:
        say.print(f"{done} of {len(prediction.paths)} images are finished already")
    faults: BadImagesError | None = None
    with prediction.manifest.held():
        try:
            _segment(prediction, done)
        except BadImagesError as error:
            faults = error
        if polygons:
            say.print(f"{polygons.path}: {write_polygons(prediction, polygons)} polygons")
        for kind in annotations:
            say.print(f"{write_annotations(prediction, kind)}: for {kind}")
    if prediction.manifest.finished:
        _summarise(say, prediction)
    if faults:
        raise SystemExit(str(faults)) from faults


def _segment(prediction: Prediction, done: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    left = TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(*columns, left, console=Console(stderr=True)) as bars:
        images = bars.add_task("Images", total=len(prediction.paths), completed=done)
        inside = bars.add_task("Rows of this image", visible=False)

        def told(row: int, rows: int) -> None:
            bars.update(inside, completed=row, total=rows, visible=row < rows)

        prediction.told = told
        for _ in prediction:
            bars.advance(images)


def _summarise(say: Console, prediction: Prediction) -> None:
    areas = summed(
        prediction.segmenter.classes, (found for _, found in prediction.manifest.areas())
    )
    for area in areas:
        ground = "" if area.square_metres is None else f"  {area.square_metres:,.0f} m2"
        say.print(f"{area.name:<24}{100 * area.share:5.1f} %{ground}")
    largest = max(areas, key=lambda area: area.share)
    if len(areas) > 1 and largest.share > _ALL_BUT:
        say.print(
            f"Warning: {largest.name} covers {100 * largest.share:.1f} % of all images. Either "
            "they show little else, or the clusters tell nothing apart: look at overlays/, and "
            "train with more clusters (--num-classes) or longer (--epochs)"
        )
    out = prediction.out
    drawn = " overlays/, pictures/," if prediction.look.pictures else ""
    tables = "areas.csv, areas.parquet/" if (out / PARQUET).is_dir() else "areas.csv"
    say.print(f"Written to {out}: labels/,{drawn} {tables} and classes.json")


def trace_of(path: str | None, simplify: float, smallest_area: float) -> Trace | None:
    """What ``--polygons FILE`` and its options ask for."""
    return None if path is None else Trace(Path(path), simplify, smallest_area).checked()
