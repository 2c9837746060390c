"""Confusion matrices and tables as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure  # heavy, and needed only where something is drawn

    return Figure(figsize=(width, height), layout="constrained")


def plot_confusion(
    confusion: npt.ArrayLike, mapping: Sequence[int], classes: Sequence[str], out: str | Path
) -> None:
    """Draw shares of each true class by cluster, clusters in the order of their matched class.

    Args:
        confusion: (clusters, classes) counts.
        mapping: class of each cluster, -1 for none.
        classes: class names.
        out: the PNG to write.
    """
    counts = np.asarray(confusion, np.float64)
    order = sorted(range(len(counts)), key=lambda c: (mapping[c] < 0, mapping[c], c))
    share = (counts / np.maximum(counts.sum(0), 1))[order]
    figure = new_figure(2.5 + 0.5 * share.shape[1], 1.8 + 0.42 * share.shape[0])
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        colour = "white" if value > 0.5 else "black"
        axes.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour, fontsize=8
        )
    labels = [f"{c} -> {classes[mapping[c]] if mapping[c] >= 0 else '(none)'}" for c in order]
    axes.set_yticks(range(len(order)), labels, fontsize=8)
    axes.set_xticks(range(len(classes)), list(classes), rotation=45, ha="right", fontsize=8)
    axes.set_title("% of each true class by cluster", fontsize=9)
    figure.savefig(out, dpi=110)


def plot_table(title: str, lines: Sequence[Mapping[str, Any]], out: str | Path) -> None:
    """Draw the paper's numbers and those measured, with their spread, line by line.

    Args:
        title: above the plot.
        lines: ``label``, ``recipe``, ``paper`` (or None), ``last`` and ``untrained`` (one value
            a seed), ``majority`` (or None).
        out: the PNG to write.
    """
    figure = new_figure(7.0, 1.5 + 0.32 * max(len(lines), 1))
    axes = figure.add_subplot()
    shown = dict(paper=("D", "black"), last=("o", "tab:blue"), untrained=("x", "tab:grey"))
    names = dict(paper="paper", last="last epoch, mean and deviation", untrained="untrained")
    drawn: dict[str, Any] = {}
    for place, line in enumerate(lines):
        for key, (marker, colour) in shown.items():
            values = line[key] if isinstance(line[key], list) else [line[key]]
            found = np.asarray([value for value in values if value is not None], np.float64)
            if found.size:
                spread = found.std(ddof=1) if found.size > 1 else 0.0
                drawn[names[key]] = axes.errorbar(
                    found.mean(), place, xerr=spread, fmt=marker, color=colour, ms=5, capsize=2
                )
    majority = [line["majority"] for line in lines if line["majority"] is not None]
    if majority:
        drawn["majority class"] = axes.axvline(majority[0], color="tab:grey", ls="--", lw=1)
    # Another method has one recipe, which its name says.
    two = ("paper", "practical")
    labels = [f"{x['label']} ({x['recipe']})" if x["recipe"] in two else x["label"] for x in lines]
    axes.set_yticks(range(len(lines)), labels, fontsize=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("pixel accuracy, %", fontsize=8)
    axes.set_title(title, fontsize=8)
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=4, fontsize=7)
    figure.savefig(out, dpi=110)


def plot_cost(title: str, lines: Sequence[Mapping[str, Any]], out: str | Path) -> None:
    """Draw accuracy, with its spread over seeds, against the time of an epoch.

    Args:
        title: above the plot.
        lines: ``label``, ``recipe``, ``last`` and ``epoch_seconds`` (one value a seed),
            ``majority`` (or None).
        out: the PNG to write.
    """
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    for line in lines:
        if not line["last"] or not line["epoch_seconds"]:
            continue
        found = np.asarray(line["last"], np.float64)
        spread = found.std(ddof=1) if found.size > 1 else 0.0
        seconds, name = float(np.mean(line["epoch_seconds"])), f"{line['label']} ({line['recipe']})"
        axes.errorbar(seconds, found.mean(), yerr=spread, fmt="o", ms=5, capsize=2, label=name)
    majority = [line["majority"] for line in lines if line["majority"] is not None]
    if majority:
        axes.axhline(majority[0], color="tab:grey", ls="--", lw=1, label="majority class")
    axes.set_xlabel("training, seconds an epoch", fontsize=8)
    axes.set_ylabel("pixel accuracy, %", fontsize=8)
    axes.legend(fontsize=7)
    axes.set_title(title, fontsize=9)
    figure.savefig(out, dpi=110)
