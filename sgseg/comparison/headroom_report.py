"""``headroom.json`` in words: its table, and the column of it in a table of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.necks.graph_blocks import PointNetBlock
from .protocol import ProtocolError, comparable
from .words import grid, spread

ALONE = PointNetBlock.__name__
"""The block that sees every node by itself."""


def headroom_table(record: Mapping[str, Any]) -> str:
    """The record for a person, in Markdown."""
    rows = [
        [name_of(row), spread(row["accuracy"]), spread(row["gain"]) if "gain" in row else ""]
        for row in record["rows"]
    ]
    best, settings = record["headroom"], record["settings"]
    return "\n".join(
        [
            f"{record['images']} images, {record['regions']:.1f} superpixels each; k = "
            f"{settings['knn']}; two halves, seeds {', '.join(map(str, settings['seeds']))}.",
            f"Majority class {record['majority']:.2f} %, bound of the superpixels "
            f"{record['bound']:.2f} %.",
            "",
            *grid(["nodes", "accuracy, with labels", "gained by the graph"], rows),
            "",
            f"Headroom: {spread(best['points'])} points, {best['graph']} above {best['nodes']}.",
        ]
    )


def gain_of(record: Mapping[str, Any], way: tuple[str, bool]) -> list[float]:
    """Points that a block gains over nodes by themselves, one value a seed; none if not measured.

    Args:
        record: as :func:`.headroom.measure_headroom` gives it.
        way: name of the block, and whether nodes know their place.
    """
    rows = (row for row in record["rows"] if (row["block"], row["place"]) == way)
    return next((list(row.get("gain", ())) for row in rows), [])


def in_a_sentence(record: Mapping[str, Any]) -> str:
    """The record for below a table."""
    best = record["headroom"]
    alone = "; ".join(
        f"{name_of(row)} {spread(row['accuracy'])}"
        for row in record["rows"]
        if row["block"] == ALONE
    )
    return (
        "Headroom: points that the row's graph block gains over nodes by themselves when both "
        f"learn from labels. Supervised nodes: {alone}; bound of {record['regions']:.0f} "
        f"superpixels {record['bound']:.1f}; best graph, {best['graph']}, above best nodes, "
        f"{best['nodes']}: {spread(best['points'])}."
    )


def demand_same_images(record: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    """ProtocolError for a headroom of other images, sizes or classes than a table's scores."""
    if not protocol:  # nothing is scored yet
        return
    own, other = comparable(record["protocol"]), comparable(protocol)
    if different := [key for key in own if other.get(key) != own[key]]:
        told = "; ".join(f"{k}: {own[k]!r} and {other.get(k)!r}" for k in different)
        raise ProtocolError(
            f"--headroom: measured on other images than the table is scored on. {told}. Measure it "
            "on the same ones (sgseg headroom, with the same data, label map and size)"
        )


def name_of(row: Mapping[str, Any]) -> str:
    """A row as people say it: ``DiffGCN + xy``."""
    return row["block"].removesuffix("Block") + (" + xy" if row["place"] else "")
