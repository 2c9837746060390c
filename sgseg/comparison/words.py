"""Cells and lines of Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; columns that are empty throughout are left out."""
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line[column] for column in kept) + " |" for line in lines]


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation (n)."""
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation} ({len(values)})"
