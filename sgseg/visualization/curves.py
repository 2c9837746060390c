"""The curves of a run over its epochs: losses, scores and what else moves, as one PNG file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .plots import new_figure

PANELS: dict[tuple[str, str], dict[str, str]] = {
    ("Scores with labels", "%"): dict(
        accuracy="accuracy", miou="mIoU", named_accuracy="after naming", many_to_one="many to one"
    ),
    ("Scores without labels", "share"): {
        "label_free/order_agreement": "orders agree",
        "label_free/order_kappa": "... beyond chance",
        "label_free/flip_consistency": "flips agree",
        "label_free/flip_kappa": "... beyond chance, too",
        "label_free/mutual_information": "information",
        "label_free/cluster_usage": "evenness",
        "label_free/largest_cluster": "largest cluster",
    },
    ("Readings in training", "share"): dict(
        mutual_information="information", class_usage="evenness", largest_class="largest cluster"
    ),
    ("Superpixels that own a pixel", "number"): dict(live_superpixels=""),
    ("Hardest membership of a pixel", "share"): dict(max_assignment=""),
    ("Spread of the superpixels' centres", "of the half image"): dict(centroid_spread=""),
    ("Node features on the pixels", "mean magnitude"): dict(projected_norm=""),
}
"""Title and unit of a panel -> scalar in it, and its name in the legend."""
_OF_THE_MACHINE = ("time", "data_time", "memory", "peak_memory_mib", "eta", "usage_entropy")
_STILL = 0.01
"""A panel in which nothing moves by more of its own size is left out."""
_GAP = 3
"""A line is broken where its points are so many times farther apart than they mostly are."""


def read_curves(files: Iterable[str | Path]) -> dict[str, tuple[list[int], list[float]]]:
    """Every logged scalar of a run, over the training steps done by then.

    Args:
        files: mmengine's ``scalars.json``, one JSON object a line: of the run, and of the runs
            that resumed it, the oldest first. Where one begins, what an older one logged from
            that step on belongs to training that was thrown away.

    Returns:
        Name -> steps and values.
    """
    entries: list[dict[str, Any]] = []
    for path in files:
        own = []
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                own.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # cut off by a kill
        if own:
            entries = [entry for entry in entries if entry["step"] < own[0]["step"]] + own
    series: dict[str, tuple[list[int], list[float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in ("iter", "step", "epoch") and isinstance(value, (int, float)):
                steps, values = series.setdefault(name, ([], []))
                steps.append(int(entry["step"]))
                values.append(float(value))
    return series


def plot_curves(
    files: Iterable[str | Path],
    out: str | Path,
    steps_per_epoch: int,
    stages: Sequence[tuple[int, str]] = (),
) -> None:
    """Draw what moved in a run over its epochs, related scalars in one panel.

    Args:
        files: see :func:`read_curves`.
        out: the PNG to write.
        steps_per_epoch: of the training.
        stages: first epoch, counted from 0, and name of each; marked by lines.
    """
    series = {
        name: (np.asarray(steps) / steps_per_epoch, np.asarray(values, np.float64))
        for name, (steps, values) in read_curves(files).items()
        if name not in _OF_THE_MACHINE
    }
    if any(name.startswith("loss_") for name in series):
        series.pop("loss", None)  # the sum of other terms in each stage
    panels = {
        title: names
        for title, names in arranged(series).items()
        if any(moves(series[name][1]) for name in names)
    }
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(4.2 * columns, 2.5 * rows + 0.4)
    last = max([1.0, *(max(x) for x, _ in series.values())])
    for place, ((title, unit), lines) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        for name, label in lines.items():
            mark = "." if len(series[name][0]) < 40 else ""
            x, y = series[name]
            y = np.where(y > 0, y, np.nan) if title == _RATES[0] else y  # 0: does not train
            axes.plot(*_broken(x, y), lw=1, marker=mark, ms=4, label=label)
        if len(lines) > 1:
            axes.legend(fontsize=6)
        if title == _RATES[0]:
            axes.set_yscale("log")
        axes.set_title(title, fontsize=9)
        axes.set_ylabel(unit, fontsize=8)
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_xlim(0, last * 1.02)
        axes.tick_params(labelsize=7)
        for start, _ in stages[1:]:
            axes.axvline(start, color="tab:grey", ls=":", lw=0.8)
    if len(stages) > 1:
        said = ", ".join(f"{name} from {start}" for start, name in stages)
        figure.supxlabel(f"Dotted lines: stages of training ({said})", fontsize=8)
    figure.savefig(out, dpi=100)


def moves(values: npt.ArrayLike) -> bool:
    """Whether a curve says anything: more than one value, and not the same everywhere."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return known.size > 1 and bool(np.ptp(known) > _STILL * np.abs(known).max())


_RATES = ("Learning rates", "rate")


def arranged(series: Collection[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Panels of those scalars that there are: losses first, each by itself, then :data:`PANELS`.

    Learning rates, and scalars that sgseg does not know, come last.
    """
    losses = sorted(name for name in series if name.startswith("loss"))
    panels = {(name.removeprefix("loss_").replace("_", " "), "loss"): {name: ""} for name in losses}
    for title, names in PANELS.items():
        panels[title] = {name: label for name, label in names.items() if name in series}
    panels[_RATES] = {name: name[3:] for name in sorted(series) if name.startswith("lr/")}
    known = {name for names in panels.values() for name in names}
    for name in sorted(set(series) - known):
        panels[name, "value"] = {name: ""}
    return {title: names for title, names in panels.items() if names}


def _broken(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A line with holes where nothing was logged for long."""
    steps = np.diff(x)
    holes = np.flatnonzero(steps > _GAP * np.quantile(steps, 0.25)) + 1 if len(steps) else ()
    return np.insert(x, holes, np.nan), np.insert(y, holes, np.nan)
