"""Losses on P and the mutual information, as they run and in the equations' plain forms.

Time is that of a forward and a backward pass, from the logits of P (the softmax included) or from
the head's two readings. Both ways take turns; one whose value or gradient is off ends the run.
The losses of Eq 8 are measured on P with nine numbers a pixel as well, in turns with dense P.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
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
from sgseg.ops.fused import plain_forms
from sgseg.ops.local_assignment import SLOTS, LocalAssignment, cells
from sgseg.ops.precision import softmax
from sgseg.structures import SegState, Superpixels, View

TOLERANCE = 1e-5
DIFFERENCES = "value diff", "gradient diff"
PLAIN, OURS, NINE = "plain", "sgseg", "nine numbers a pixel"
Loss = Callable[[], Tensor]
Outcome = tuple[Tensor, ...]


class Measured(NamedTuple):
    """What a step gives, bytes kept for its backward pass, and most bytes at one time."""

    outcome: Outcome
    saved: int
    peak: int


class Case(NamedTuple):
    """A loss, and what it is differentiated by."""

    loss: Loss
    leaves: tuple[Tensor, ...]
    repeats: int


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py loss``."""
    parser.add_argument("--batch", type=int, default=16, help="images of the losses on P")
    parser.add_argument("--superpixels", type=int, default=200, help="N")
    parser.add_argument("--side", type=int, default=128, help="height and width in pixels")
    parser.add_argument("--readings", type=int, default=64, help="images of the information")
    parser.add_argument("--classes", type=int, default=15, help="K")
    parser.add_argument("--half-window", type=int, default=10, help="T; 0: not measured")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the median counts")
    parser.add_argument(
        "--direct-repeats", type=int, default=1, help="turns of Eq 19: directly it takes long"
    )
    parser.add_argument("--device", default="cpu")


def run(args: Namespace) -> Result:
    """Measure every loss on P alone, all of them together, and the information."""
    cases = superpixel_cases(args) | information_cases(args)
    rows = [row for name, case in cases.items() for row in compare(name, case)]
    rows += nine_rows(superpixel_cases(args), superpixel_cases(args, nine=True))
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
    values = {row.name: row.values for row in rows}
    losses = values[f"Eq 8, all four: {PLAIN}"]
    yield Goal("losses on P, time plain / sgseg", losses["time / sgseg"], ">=", 3.0, OF_TIMES)
    yield Goal("losses on P, bytes kept sgseg / plain", 1 / losses["saved / sgseg"], "<=", 1 / 3)
    nine, entropies = (values[f"{name}: {NINE}"] for name in ("Eq 8, all four", "Eq 9"))
    yield Goal(f"losses on P, time sgseg / {NINE}", nine["sgseg / time"], ">=", 8.0, OF_TIMES)
    yield Goal(f"Eq 9, bytes kept {NINE} / sgseg", 1 / entropies["sgseg / saved"], "<=", 1 / 15)
    if half_window > 0:
        direct = values[f"Eq 19, T = {half_window}: {PLAIN}"]
        name = f"information, T = {half_window}, time direct / sgseg"
        yield Goal(name, direct["time / sgseg"], ">=", 10.0, OF_TIMES)


def superpixel_cases(args: Namespace, nine: bool = False) -> dict[str, Case]:
    """Each loss of Eq 8 with its default weight, and their sum; on P with ``nine`` a pixel or N."""
    size, device = (args.side, args.side), args.device
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> Tensor:
        return torch.randn(args.batch, channels, *size, generator=generator).to(device)

    logits, image, own = draw(SLOTS if nine else args.superpixels), draw(3), draw(3)
    grid = cells(*size, args.superpixels, device)
    logits.requires_grad_()
    own.requires_grad_()
    losses: dict[str, SegLoss] = {
        "Eq 9": ClusteringLoss(),
        "Eq 10": SmoothnessLoss(),
        "Eq 12": SuperpixelReconstructionLoss(),
        "Eq 13": EdgeLoss(),
    }

    def total(*names: str) -> Tensor:
        assignment = LocalAssignment.of_scores(logits, grid) if nine else softmax(logits)
        state = SegState(image, Superpixels(assignment, image, own))
        return torch.stack([losses[name](state) for name in names]).sum()

    cases = {name: partial(total, name) for name in losses} | {
        "Eq 8, all four": partial(total, *losses)
    }
    return {name: Case(loss, (logits, own), args.repeats) for name, loss in cases.items()}


def information_cases(args: Namespace) -> dict[str, Case]:
    """Eq 19 over all displacements up to T; at equal positions alone it has one form."""
    if args.half_window == 0:
        return {}
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
    loss = partial(MutualInformationLoss(half_window=args.half_window), state)
    return {f"Eq 19, T = {args.half_window}": Case(loss, (p, q), args.direct_repeats)}


def plainly(loss: Loss) -> Tensor:
    """``loss`` by the plain forms of its equations."""
    with plain_forms():
        return loss()


def compare(name: str, case: Case) -> list[Row]:
    """Time and memory of both forms, as numbers and over those of sgseg.

    Raises:
        RuntimeError: if the value or a gradient differs by more than 1e-5 of its largest entry.
    """
    ways: dict[str, Loss] = {PLAIN: partial(plainly, case.loss), OURS: case.loss}
    measured = {way: _measured(loss, case.leaves) for way, loss in ways.items()}
    gaps = _gaps(name, measured[OURS].outcome, measured[PLAIN].outcome)
    steps = {way: partial(_step, loss, case.leaves) for way, loss in ways.items()}
    # The runs above have warmed both ways up.
    times = measure.seconds(steps, case.repeats, warm=0)
    rows = []
    for way, (_, saved, peak) in measured.items():
        values = {"seconds": times[way], "saved MB": saved / 1e6, "peak MB": peak / 1e6}
        if way != OURS:
            values["time / sgseg"] = times[way] / times[OURS]
            values["saved / sgseg"] = saved / measured[OURS].saved
            values |= gaps
        rows.append(Row(f"{name}: {way}", values))
    return rows


def nine_rows(dense: dict[str, Case], nine: dict[str, Case]) -> list[Row]:
    """Time and memory on P with nine numbers a pixel, and what dense P takes over it."""
    rows = []
    for name, case in nine.items():
        ways = {OURS: dense[name], NINE: case}
        steps = {way: partial(_step, each.loss, each.leaves) for way, each in ways.items()}
        times = measure.seconds(steps, case.repeats)
        memory = {way: _measured(each.loss, each.leaves) for way, each in ways.items()}
        values = {
            "seconds": times[NINE],
            "saved MB": memory[NINE].saved / 1e6,
            "peak MB": memory[NINE].peak / 1e6,
            "sgseg / time": times[OURS] / times[NINE],
            "sgseg / saved": memory[OURS].saved / memory[NINE].saved,
            "sgseg / peak": memory[OURS].peak / memory[NINE].peak,
        }
        rows.append(Row(f"{name}: {NINE}", values))
    return rows


def _gaps(name: str, ours: Outcome, plain: Outcome) -> dict[str, float]:
    """Largest differences of value and gradients, each over the largest entry."""
    shares = [
        float((fused - other).abs().max() / other.abs().max().clamp_min(1e-30))
        for fused, other in zip(ours, plain, strict=True)
    ]
    gaps = dict(zip(DIFFERENCES, (shares[0], max(shares[1:])), strict=True))
    if max(shares) > TOLERANCE:
        raise RuntimeError(
            f"{name}: sgseg differs from its plain form by more than {TOLERANCE:.0e} of the "
            f"largest entry ({', '.join(f'{key} {gap:.1e}' for key, gap in gaps.items())}): one "
            "of them is wrong"
        )
    return gaps


def _step(loss: Loss, leaves: tuple[Tensor, ...]) -> None:
    torch.autograd.grad(loss(), leaves, materialize_grads=True)


def _measured(loss: Loss, leaves: tuple[Tensor, ...]) -> Measured:
    """Value and gradients of a step, and the memory it takes."""
    outcomes: list[tuple[Outcome, int]] = []

    def step() -> None:
        saved, value = measure.saved_bytes(loss)
        slopes = torch.autograd.grad(value, leaves, materialize_grads=True)
        outcomes.append(((value.detach(), *slopes), saved))

    peak = measure.peak_bytes(step)
    return Measured(*outcomes[0], peak)
