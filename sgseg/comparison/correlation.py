"""Whether the label-free scores know which run, and which epoch, is the better one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from ..evaluation.label_free import NAMES
from .report import grid
from .runs import RESULT, read_json

FEWEST = 4


def rank_correlation(scores: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Spearman's coefficient; None below four pairs, or where one of them is constant."""
    if len(scores) < FEWEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input gives nan, which is what is asked here
        found = float(spearmanr(scores, accuracies).statistic)
    return None if math.isnan(found) else found


def correlate(root: str | Path) -> str:
    """Rank correlation of each score with accuracy over all finished runs below a folder.

    *Across runs*: last epochs of runs on one data set at one size, so that the accuracies can be
    compared; of all of them, and of each recipe and method, since over several the scores tell
    these apart first. *Within a run*: over its evaluated epochs, mean over the runs.

    Returns:
        Markdown: a table with the number of pairs behind each coefficient.

    Raises:
        FileNotFoundError: if no finished run is there.
    """
    everything: dict[str, list[Mapping[str, Any]]] = {}
    alone: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for path in sorted(Path(root).glob(f"*/seed_*/{RESULT}")):
        result = read_json(path)
        if result and result.get("epochs"):
            sizes, recipe, _ = path.parents[1].name.rsplit("-", 2)  # data and preset, recipe, hash
            everything.setdefault(sizes, []).append(result)
            alone.setdefault((sizes, recipe), []).append(result)
    if not everything:
        raise FileNotFoundError(f"{root}: no finished run; train some with reproduce_table.py")
    heads = ["runs", "kind", *NAMES]
    rows = []
    groups = dict(everything)
    for (sizes, recipe), results in alone.items():
        if FEWEST <= len(results) < len(everything[sizes]):
            groups[f"{sizes}, {recipe} alone"] = results
    for name, results in sorted(groups.items()):
        across = [_across(results, score) for score in NAMES]
        within = [_within(results, score) for score in NAMES]
        rows.append([f"{name} ({len(results)})", "across runs, last epoch", *across])
        rows.append([f"{name} ({len(results)})", "within a run, mean", *within])
    return "\n".join(
        [
            "# Label-free scores and accuracy",
            "",
            "Spearman's rank correlation (number of runs; within a run: of runs with at least "
            f"{FEWEST} evaluated epochs).",
            "",
            *grid(heads, rows),
            "",
        ]
    )


def _across(results: Sequence[Mapping[str, Any]], score: str) -> str:
    pairs = [
        (result["epochs"][-1][score], result["accuracy"])
        for result in results
        if score in result["epochs"][-1] and result["accuracy"] is not None
    ]
    found = rank_correlation([p[0] for p in pairs], [p[1] for p in pairs])
    return f"too few ({len(pairs)})" if found is None else f"{found:+.2f} ({len(pairs)})"


def _within(results: Sequence[Mapping[str, Any]], score: str) -> str:
    found = []
    for result in results:
        both = [e for e in result["epochs"] if "accuracy" in e and score in e]
        one = rank_correlation([e[score] for e in both], [e["accuracy"] for e in both])
        found += [] if one is None else [one]
    if not found:
        return "too few (0)"
    return f"{sum(found) / len(found):+.2f} ({len(found)})"
