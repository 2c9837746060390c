"""Rank correlation of the label-free scores with accuracy, across runs and within them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from ..evaluation.label_free import NAMES
from ..io.atomic import write_atomically
from ..io.jsonfile import read_json_if_whole
from .runs import RESULT
from .words import grid

FEWEST = 4


def rank_correlation(scores: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Spearman's coefficient; None below four pairs, or where one of them is constant."""
    if len(scores) < FEWEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input gives nan, which is what is asked here
        coefficient = float(spearmanr(scores, accuracies).statistic)
    return None if math.isnan(coefficient) else coefficient


def correlate(root: str | Path) -> str:
    """Rank correlation of each score with accuracy over all finished runs below a folder.

    *Across runs*: last epochs of runs on one data set at one size, so that the accuracies can be
    compared; of all of them, and of each recipe and method, since over several the scores tell
    these apart first. *Within a run*: over its evaluated epochs, mean over the runs.

    Returns:
        Markdown, also written to ``label_free.md`` in the folder: a table with the number of pairs
        of each coefficient.

    Raises:
        FileNotFoundError: if no finished run is there.
    """
    by_size: dict[str, list[Mapping[str, Any]]] = {}
    by_recipe: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for path in sorted(Path(root).glob(f"*/seed_*/{RESULT}")):
        result = read_json_if_whole(path)
        if result and result.get("epochs"):
            size, recipe, _ = path.parents[1].name.rsplit("-", 2)  # data and preset, recipe, hash
            by_size.setdefault(size, []).append(result)
            by_recipe.setdefault((size, recipe), []).append(result)
    if not by_size:
        raise FileNotFoundError(f"{root}: no finished run; train some with reproduce_table.py")
    groups = dict(by_size)
    for (size, recipe), results in by_recipe.items():
        if FEWEST <= len(results) < len(by_size[size]):
            groups[f"{size}, {recipe} alone"] = results
    rows = []
    for name, results in sorted(groups.items()):
        across = [_across(results, score) for score in NAMES]
        within = [_within(results, score) for score in NAMES]
        rows.append([f"{name} ({len(results)})", "across runs, last epoch", *across])
        rows.append([f"{name} ({len(results)})", "within a run, mean", *within])
    said = (
        "Spearman's rank correlation (number of runs; within a run: of runs with at least "
        f"{FEWEST} evaluated epochs)."
    )
    table = grid(["runs", "kind", *NAMES], rows)
    text = "\n".join(["# Label-free scores and accuracy", "", said, "", *table, ""])
    write_atomically(Path(root) / "label_free.md", text.encode())
    return text


def _across(results: Sequence[Mapping[str, Any]], score: str) -> str:
    last = [(result["epochs"][-1], result["accuracy"]) for result in results]
    pairs = [(e[score], accuracy) for e, accuracy in last if score in e and accuracy is not None]
    coefficient = rank_correlation([p[0] for p in pairs], [p[1] for p in pairs])
    return (
        f"too few ({len(pairs)})" if coefficient is None else f"{coefficient:+.2f} ({len(pairs)})"
    )


def _within(results: Sequence[Mapping[str, Any]], score: str) -> str:
    scored = [[e for e in r["epochs"] if "accuracy" in e and score in e] for r in results]
    each = [rank_correlation([e[score] for e in s], [e["accuracy"] for e in s]) for s in scored]
    known = [coefficient for coefficient in each if coefficient is not None]
    return f"{sum(known) / len(known):+.2f} ({len(known)})" if known else "too few (0)"
