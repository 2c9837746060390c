"""Graph blocks: a training step against the printed equations and torch-geometric's EdgeConv.

All ways have the same weights, nodes and neighbours; a step is forward and backward to input and
weights. ``saved`` is what waits for the backward pass, ``peak`` the most that lives at one time,
inputs not counted. The plain blocks write Eq 14-16 out edge by edge (tests/reference/graph.py).

Differences to the plain block are taken in float64. In float32 rounding decides between edges that
are equal to seven digits, and the gradient of a maximum then goes to another neighbour.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial

import torch
from mmengine.device import get_device
from torch import Tensor, nn

from sgseg.cost.measure import peak_bytes, saved_bytes, seconds
from sgseg.cost.result import OF_TIMES, Goal, Result, Row
from sgseg.models import DGCNNBlock, DiffGCNBlock, PointNetBlock
from sgseg.ops.graph import knn

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py graph``."""
    parser.add_argument("--batch", type=int, default=64, help="images")
    parser.add_argument("--nodes", type=int, default=200, help="superpixels of an image")
    parser.add_argument("--knn", type=int, default=20, help="neighbours of a node")
    parser.add_argument("--channels", type=int, default=64, help="width of the block")
    parser.add_argument("--aggregation", choices=["max", "mean"], default="max")
    parser.add_argument("--repeats", type=int, default=10, help="turns; the median counts")


def run(args: Namespace) -> Result:
    """Measure every block beside its plain form."""
    torch.manual_seed(0)
    given = _inputs(args)
    rows: list[Row] = []
    figures: dict[str, float | str] = {}
    for name, blocks in _blocks(args, given[2]).items():
        steps = {way: partial(_step, block, given) for way, block in blocks.items()}
        taken = seconds(steps, args.repeats)
        for way, block in blocks.items():
            values = {
                "ms": 1e3 * taken[way],
                "ours/this": taken["ours"] / taken[way],
                "saved MB": saved_bytes(lambda b=block: b(*given[:3]))[0] / 1e6,
                "peak MB": peak_bytes(steps[way]) / 1e6,
            }
            rows.append(Row(f"{name}, {way}", values))
        figures[f"{name}, largest difference to plain, float64"] = _difference(blocks, given)
    title = f"B={args.batch} N={args.nodes} k={args.knn} C={args.channels} {args.aggregation}"
    return Result(f"Training step of a graph block, {title}", rows, figures, _goals(rows))


def _goals(rows: list[Row]) -> list[Goal]:
    """Against the plain blocks with edges, and against EdgeConv."""
    found = {row.name: row.values for row in rows}
    goals = []
    for name in ("DGCNN", "DiffGCN"):
        ours, written = found[f"{name}, ours"], found[f"{name}, plain"]
        goals.append(
            Goal(f"{name}, time plain / sgseg", written["ms"] / ours["ms"], ">=", 2.0, OF_TIMES)
        )
        for what in ("saved MB", "peak MB"):
            share = ours[what] / written[what]
            goals.append(Goal(f"{name}, {what[:-3]} bytes sgseg / plain", share, "<=", 0.5))
    convolution = found["DGCNN, EdgeConv"]["ms"] / found["DGCNN, ours"]["ms"]
    return [*goals, Goal("DGCNN, time EdgeConv / sgseg", convolution, ">=", 1.0, OF_TIMES)]


class EdgeConvBlock(nn.Module):
    """torch-geometric's EdgeConv on a graph that is already an edge list.

    It joins F_i and F_j - F_i, so the weights of the second half change their sign.
    """

    def __init__(self, block: nn.Module, neighbours: Tensor, aggregation: str) -> None:
        super().__init__()
        from torch_geometric.nn import EdgeConv

        images, nodes, k = neighbours.shape
        first = nodes * torch.arange(images)[:, None, None]  # (B, 1, 1)
        target = torch.arange(images * nodes).repeat_interleave(k)  # (B * N * k,)
        first, target = first.to(neighbours.device), target.to(neighbours.device)
        self.edge_index = torch.stack([(neighbours + first).flatten(), target])  # (2, B*N*k)
        out, width = block.linear.weight.shape
        self.linear, self.norm = nn.Linear(width, out, bias=False), nn.BatchNorm1d(out)
        layers = nn.Sequential(self.linear, self.norm, nn.ReLU())
        self.conv = EdgeConv(layers, aggr=aggregation)
        # Only now: a convolution of torch-geometric draws the weights of its layers anew.
        node, change = block.linear.weight.detach().chunk(2, 1)
        self.linear.weight.data.copy_(torch.cat([node, -change], 1))

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        """Refine nodes (B, N, C)."""
        return self.conv(x.flatten(0, 1), self.edge_index).view_as(x)  # (B, N, C)


def _inputs(args: Namespace) -> Inputs:
    """Features, positions, neighbours and the gradient that comes back."""
    device = get_device()
    x = torch.randn(args.batch, args.nodes, args.channels, device=device)
    pos = 2 * torch.rand(args.batch, args.nodes, 2, device=device) - 1
    return x.requires_grad_(), pos.requires_grad_(), knn(x, args.knn), torch.randn_like(x)


def _blocks(args: Namespace, neighbours: Tensor) -> dict[str, dict[str, nn.Module]]:
    from tests.reference import graph as reference

    how = args.aggregation
    ours: dict[str, nn.Module] = {
        "PointNet": PointNetBlock(args.channels),
        "DGCNN": DGCNNBlock(args.channels, how),
        "DiffGCN": DiffGCNBlock(args.channels, how),
    }
    written: dict[str, nn.Module] = {
        "PointNet": reference.PlainPointNet(args.channels),
        "DGCNN": reference.PlainDGCNN(args.channels, how),
        "DiffGCN": reference.PlainDiffGCN(args.channels, how),
    }
    for name, block in ours.items():
        for parameter, own in zip(written[name].parameters(), block.parameters(), strict=True):
            parameter.data.copy_(own.data)
    blocks = {name: {"plain": written[name], "ours": block} for name, block in ours.items()}
    blocks["DGCNN"]["EdgeConv"] = EdgeConvBlock(ours["DGCNN"], neighbours, how)
    for named in blocks.values():
        for block in named.values():
            block.to(neighbours.device)
    return blocks


def _step(block: nn.Module, given: Inputs) -> list[Tensor]:
    """Output, and gradients by features, positions and weights."""
    *inputs, back = given
    out = block(*inputs)
    wanted = [*inputs[:2], *block.parameters()]
    found = torch.autograd.grad((out * back).sum(), wanted, materialize_grads=True)
    return [out.detach(), *found]


def _difference(blocks: dict[str, nn.Module], given: Inputs) -> float:
    """Largest difference of an output or gradient to the plain one, as a share of its largest."""
    few = 4
    x, pos, near, back = (t.detach()[:few] for t in given)
    exact = x.double().requires_grad_(), pos.double().requires_grad_(), near, back.double()
    pairs = [_step(blocks[way].double(), exact) for way in ("ours", "plain")]
    return max(
        float((own - written).abs().max() / written.abs().max().clamp_min(1e-8))
        for own, written in zip(*pairs, strict=True)
    )
