"""Check a data set before training: every file is opened, every pair compared."""

from __future__ import annotations

import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..io.jsonfile import write_json
from ..io.signals import ctrl_c_stays_here
from .layouts import Fault, Finding, Layout, find_layout
from .prepare.build import become_worker

KINDS = {
    "unreadable": "cannot be decoded",
    "truncated": "ends before its content does",
    "empty": "zero bytes",
    "pages": "more pictures in a file than one",
    "size": "not of the size that the set has",
    "bands": "not of the bands that the set has",
    "dtype": "not of the type that the set has",
    "label_range": "a label value that is no class",
    "label_size": "a label map of another size than its image",
    "labels": "label maps that score nothing, or one class alone",
    "classes": "class names or a label table that cannot be used",
    "missing_partner": "an image without label map, a map without image, a listed file not there",
    "duplicate": "the same pixels in two splits",
    "leak": "the same item in two splits",
    "count": "another number of items, or another list, than it should be",
    "damaged": "bytes of a cache that are not those of its manifest",
}
"""Kinds of fault and what they mean."""

_CHUNK = 32


@dataclass
class Report:
    """The result of :func:`verify`."""

    root: str
    layout: str
    items: int
    counts: dict[str, int]
    """Items of each split."""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and no fault."""

    def write(self, path: str | Path) -> None:
        """Write the report as JSON."""
        content = dict(
            vars(self),
            faults=[fault._asdict() for fault in self.faults],
            by_kind=dict(Counter(fault.kind for fault in self.faults)),
        )
        write_json(path, content)

    def text(self, most: int = 20) -> str:
        """The report for a person, with at most ``most`` faults of a kind."""
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        lines = [f"{self.root}: {self.layout}, {self.items} items ({counts})"]
        lines += [f"note: {note}" for note in self.notes]
        for kind, meaning in KINDS.items():
            found = [fault for fault in self.faults if fault.kind == kind]
            if found:
                lines.append(f"{kind} ({meaning}): {len(found)}")
                lines += [f"  {fault.path}: {fault.message}" for fault in found[:most]]
                lines += [f"  ... and {len(found) - most} more"] * (len(found) > most)
        lines.append(f"{len(self.faults)} faults" if self.faults else "no faults")
        return "\n".join(lines)


def verify(
    root: str | Path,
    bands: int | None = None,
    size: tuple[int, int] | None = None,
    label_map: str | None = None,
    published: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    value_range: tuple[float, float] | None = None,
) -> Report:
    """Look at every file of a data set.

    The layout is found by itself: a prepared cache, COCO-Stuff as it comes, Potsdam's tiles,
    IIC's Potsdam archive, or a folder with ``images/``, ``labels/`` and list files.

    Args:
        root: the data set.
        bands: bands that every image of a folder must have; default: what most have.
        size: height and width that every image of a folder must have; default: any.
        label_map: ``FILE.json#KEY`` for a folder, as in training.
        published: also demand that these are the items that the published numbers are on.
        workers: processes.
        progress: called with (items done, all items).
        value_range: values of a folder's samples that stand for 0 and 1, as in training.

    Raises:
        FileNotFoundError: if there is no data set at ``root``.
    """
    layout = find_layout(root, bands, size, label_map, value_range)
    items = layout.items()
    report = Report(
        root=str(root),
        layout=layout.title,
        items=len(items),
        counts=dict(Counter(layout.split_of(item) for item in items)),
    )
    report.faults += layout.structure(published)
    report.notes += layout.notes()
    report.faults += _leaks(layout, items)
    findings: list[Finding] = []
    for found in _findings(layout, items, workers):
        report.faults += found.faults
        findings.append(found._replace(faults=()))
        if progress:
            progress(len(findings), len(items))
    report.faults += _odd_ones(layout, items, findings)
    report.faults += _duplicates(layout, items, findings)
    faults, notes = layout.conclusions(items, findings)
    report.faults += faults
    report.notes += notes
    return report


def _findings(layout: Layout, items: Sequence[Any], workers: int) -> Iterator[Finding]:
    if workers <= 1:
        yield from map(layout.check, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, become_worker) as pool:
        with ctrl_c_stays_here():
            findings = pool.map(layout.check, items, chunksize=_CHUNK)
        yield from findings


def _leaks(layout: Layout, items: Sequence[Any]) -> list[Fault]:
    splits = defaultdict(set)
    for item in items:
        splits[layout.key(item)].add(layout.split_of(item))
    return [
        Fault("leak", key, f"is in {' and '.join(sorted(found))}")
        for key, found in splits.items()
        if len(found) > 1
    ]


def _odd_ones(layout: Layout, items: Sequence[Any], findings: Sequence[Finding]) -> list[Fault]:
    """Images of another type, or of another size where all must be alike, than most."""
    faults = []
    for kind in ("dtype", "size") if layout.one_size else ("dtype",):
        values = [getattr(found, kind) for found in findings]
        common = Counter(value for value in values if value is not None).most_common(1)
        faults += [
            Fault(kind, str(layout.path(item)), f"is of {value}, most are of {common[0][0]}")
            for item, value in zip(items, values, strict=True)
            if value is not None and value != common[0][0]
        ]
    return faults


def _duplicates(layout: Layout, items: Sequence[Any], findings: Sequence[Finding]) -> list[Fault]:
    first: dict[bytes, Any] = {}
    faults = []
    for item, found in zip(items, findings, strict=True):
        if found.digest is None:
            continue
        twin = first.setdefault(found.digest, item)
        if layout.key(twin) != layout.key(item) and layout.split_of(twin) != layout.split_of(item):
            faults.append(
                Fault(
                    "duplicate",
                    str(layout.path(item)),
                    f"in {layout.split_of(item)} has the pixels of {layout.path(twin)} in "
                    f"{layout.split_of(twin)}",
                )
            )
    return faults
