"""Comparison of evaluation protocols: scores under unequal ones may not stand in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What a method does to the colours it sees changes no scored pixel.
_OF_THE_INPUT = ("Sobel(", "PackInputs(")


class ProtocolError(ValueError):
    """Two scores under unequal protocols were put side by side."""


def comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``eval.json``'s protocol that decides which pixels were scored, and how."""
    kept = dict(protocol)
    kept["transforms"] = [
        step for step in protocol.get("transforms", ()) if not step.startswith(_OF_THE_INPUT)
    ]
    return kept


def one_protocol(scored: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The protocol that all scores share.

    Args:
        scored: name and protocol of each score.

    Returns:
        The part of it that is compared; empty without scores.

    Raises:
        ProtocolError: naming two scores and what differs between them.
    """
    if not scored:
        return {}
    name, first = scored[0][0], comparable(scored[0][1])
    for other, protocol in scored[1:]:
        second = comparable(protocol)
        different = [key for key in first | second if first.get(key) != second.get(key)]
        if different:
            told = "; ".join(f"{k}: {first.get(k)!r} and {second.get(k)!r}" for k in different)
            raise ProtocolError(
                f"{name} and {other} were scored under unequal protocols, so they cannot stand in "
                f"one table. {told}. Score them on the same items in the same way, or make two "
                "tables"
            )
    return first


def in_words(protocol: Mapping[str, Any]) -> str:
    """One line on a protocol."""
    split = protocol.get("split", "all")
    parts = [
        f"{protocol['dataset']}, {protocol['items']} images",
        f"split {split if isinstance(split, str) else ' + '.join(split)}",
        " -> ".join(protocol["transforms"]) or "as they are",
        f"{protocol['clusters']} clusters",
        f"label {protocol['ignore']} ignored",
        f"matching {protocol['matching']}",
    ]
    if "told" in protocol:
        parts.append(f"told {protocol['told']}")
    for key in ("manifest_sha256", "items_sha256"):
        if key in protocol:
            parts.append(f"{key} {protocol[key][:12]}")
    return "; ".join(parts)
