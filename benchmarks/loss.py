"""Losses on P and the mutual information against the paper's equations written plainly.

Time is that of a forward and a backward pass, from the logits of P (the softmax included) or from
the head's two readings. All ways take turns; one whose value or gradient is off ends the run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sgseg.cost import measure
from sgseg.cost.result import OF_TIMES, Goal, Result, Row
from sgseg.models.losses import (
    ClusteringLoss,
    EdgeLoss,
    MutualInformationLoss,
    SegLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
)
from sgseg.ops.precision import softmax
from sgseg.structures import SegState, Superpixels, View

TOLERANCE = 1e-5
DIFFERENCES = "value diff", "gradient diff"
PLAIN, SHARED, OURS = "plain", "plain, one softmax", "sgseg"
Loss = Callable[[], Tensor]
Outcome = tuple[Tensor, ...]


class Measured(NamedTuple):
    """What a step gives, bytes kept for its backward pass, and most bytes at one time."""

    outcome: Outcome
    saved: int
    peak: int


class Case(NamedTuple):
    """Ways to the same loss, and what it is differentiated by."""

    ways: Mapping[str, Loss]
    leaves: tuple[Tensor, ...]
    repeats: int


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py loss``."""
    parser.add_argument("--batch", type=int, default=16, help="images of the losses on P")
    parser.add_argument("--superpixels", type=int, default=200, help="N")
    parser.add_argument("--side", type=int, default=128, help="height and width in pixels")
    parser.add_argument("--readings", type=int, default=64, help="images of the information")
    parser.add_argument("--classes", type=int, default=15, help="K")
    parser.add_argument("--half-window", type=int, default=10, help="T; 0 is measured as well")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the median counts")
    parser.add_argument(
        "--direct-repeats", type=int, default=1, help="turns where T > 0: directly it takes long"
    )
    parser.add_argument("--device", default="cpu")


def run(args: Namespace) -> Result:
    """Measure every loss on P alone, all of them together, and the information."""
    cases = superpixel_cases(args) | information_cases(args)
    rows = [row for name, case in cases.items() for row in compare(name, case)]
    worst: dict[str, float | str] = {
        f"largest {key}": max(row.values.get(key, 0.0) for row in rows) for key in DIFFERENCES
    }
    return Result(
        f"Losses on P: {args.batch} images, {args.superpixels} superpixels; information: "
        f"{args.readings} images, {args.classes} classes; {args.side} x {args.side} pixels",
        rows,
        worst,
        list(_goals(rows, args.half_window)),
    )


def _goals(rows: list[Row], half_window: int) -> Iterator[Goal]:
    """The four losses together, and the displaced information, against the plain way."""
    found = {row.name: row.values for row in rows}
    losses = found[f"Eq 8, all four: {PLAIN}"]
    yield Goal("losses on P, time plain / sgseg", losses["time / sgseg"], ">=", 3.0, OF_TIMES)
    yield Goal("losses on P, bytes kept sgseg / plain", 1 / losses["saved / sgseg"], "<=", 1 / 3)
    if half_window > 0:
        direct = found[f"Eq 19, T = {half_window}: {PLAIN}"]
        name = f"information, T = {half_window}, time direct / sgseg"
        yield Goal(name, direct["time / sgseg"], ">=", 10.0, OF_TIMES)


def superpixel_cases(args: Namespace) -> dict[str, Case]:
    """Each loss of Eq 8 with its default weight, and their sum."""
    from tests.reference import losses as reference

    size, device = (args.side, args.side), args.device
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> Tensor:
        return torch.randn(args.batch, channels, *size, generator=generator).to(device)

    logits, image, own = draw(args.superpixels), draw(3), draw(3)
    logits.requires_grad_()
    own.requires_grad_()
    # The weights are the modules' own: 1, 2, 5 and 1.
    pairs: dict[str, tuple[Callable[[Tensor], Tensor], SegLoss]] = {
        "Eq 9": (reference.clustering, ClusteringLoss()),
        "Eq 10": (lambda P: 2 * reference.smoothness(P, image), SmoothnessLoss()),
        "Eq 12": (
            lambda P: 5 * reference.reconstruction(P, image, own),
            SuperpixelReconstructionLoss(),
        ),
        "Eq 13": (lambda P: reference.edges(P, image, own), EdgeLoss()),
    }

    def plain(*names: str) -> Tensor:
        return torch.stack([pairs[name][0](logits.softmax(1)) for name in names]).sum()

    def shared() -> Tensor:
        P = logits.softmax(1)
        return torch.stack([one(P) for one, _ in pairs.values()]).sum()

    def ours(*names: str) -> Tensor:
        state = SegState(image, Superpixels(softmax(logits), image, own))
        return torch.stack([pairs[name][1](state) for name in names]).sum()

    every: dict[str, Loss] = {
        PLAIN: partial(plain, *pairs),
        SHARED: shared,
        OURS: partial(ours, *pairs),
    }
    ways = {name: {PLAIN: partial(plain, name), OURS: partial(ours, name)} for name in pairs}
    return {
        name: Case(found, (logits, own), args.repeats)
        for name, found in (ways | {"Eq 8, all four": every}).items()
    }


def information_cases(args: Namespace) -> dict[str, Case]:
    """Eq 19 at equal positions and over all displacements up to T."""
    from tests.reference import information as reference

    generator = torch.Generator().manual_seed(0)
    shape = args.readings, args.classes
    coarse = torch.randn(*shape, *[max(2, args.side // 8)] * 2, generator=generator)
    common = 3 * F.interpolate(coarse, size=(args.side, args.side), mode="bilinear")

    def reading() -> Tensor:
        """Classes in patches, as a head gives them; both readings share them."""
        noise = torch.randn(common.shape, generator=generator)
        return (common + noise).softmax(1).to(args.device).requires_grad_()

    p, q = reading(), reading()
    state = SegState(p, views=(View(p, p), View(q, q)))
    cases = {}
    for window in sorted({0, args.half_window}):
        ways: dict[str, Loss] = {
            PLAIN: partial(lambda window: -reference.mutual_information(p, q, window), window),
            OURS: partial(MutualInformationLoss(half_window=window), state),
        }
        repeats = args.direct_repeats if window else args.repeats
        cases[f"Eq 19, T = {window}"] = Case(ways, (p, q), repeats)
    return cases


def compare(name: str, case: Case) -> list[Row]:
    """Time and memory of each way, as numbers and over those of sgseg.

    Raises:
        RuntimeError: if the value or a gradient differs by more than 1e-5 of its largest entry.
    """
    found = {way: _measured(loss, case.leaves) for way, loss in case.ways.items()}
    gaps = {way: _gaps(name, way, found[OURS].outcome, found[way].outcome) for way in found}
    steps = {way: partial(_step, loss, case.leaves) for way, loss in case.ways.items()}
    # The runs above have warmed every way up.
    times = measure.seconds(steps, case.repeats, warm=0)
    rows = []
    for way, (_, saved, peak) in found.items():
        values = {"seconds": times[way], "saved MB": saved / 1e6, "peak MB": peak / 1e6}
        if way != OURS:
            values["time / sgseg"] = times[way] / times[OURS]
            values["saved / sgseg"] = saved / found[OURS].saved
            values |= gaps[way]
        rows.append(Row(f"{name}: {way}", values))
    return rows


def _gaps(name: str, way: str, ours: Outcome, plain: Outcome) -> dict[str, float]:
    """Largest differences of value and gradients, each over the largest entry."""
    found = [
        float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))
        for one, other in zip(ours, plain, strict=True)
    ]
    gaps = dict(zip(DIFFERENCES, (found[0], max(found[1:])), strict=True))
    if max(found) > TOLERANCE:
        raise RuntimeError(
            f"{name}: sgseg differs from {way!r} by more than {TOLERANCE:.0e} of the largest entry "
            f"({', '.join(f'{key} {gap:.1e}' for key, gap in gaps.items())}): one of them is wrong"
        )
    return gaps


def _step(loss: Loss, leaves: tuple[Tensor, ...]) -> None:
    torch.autograd.grad(loss(), leaves, materialize_grads=True)


def _measured(loss: Loss, leaves: tuple[Tensor, ...]) -> Measured:
    """Value and gradients of a step, and the memory it takes."""
    found: list[tuple[Outcome, int]] = []

    def step() -> None:
        saved, value = measure.saved_bytes(loss)
        slopes = torch.autograd.grad(value, leaves, materialize_grads=True)
        found.append(((value.detach(), *slopes), saved))

    peak = measure.peak_bytes(step)
    return Measured(*found[0], peak)
