"""Graph blocks: a training step beside the same block with its edges kept, and PyG's EdgeConv.

All ways have the same weights, nodes and neighbours; a step is forward and backward to input and
weights. ``saved`` is what waits for the backward pass, ``peak`` the most that lives at one time,
inputs not counted. A block makes its edges again in the backward pass; ``kept`` is its forward pass
without that, as autograd would run it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial

import torch
from mmengine.device import get_device
from torch import Tensor, nn

from sgseg.cost.measure import peak_bytes, saved_bytes, seconds
from sgseg.cost.result import OF_TIMES, Goal, Result, Row
from sgseg.models import DGCNNBlock, DiffGCNBlock, PointNetBlock
from sgseg.ops.graph import knn

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]
Way = tuple[nn.Module, Callable[..., Tensor]]
"""A block, for its weights, and how to run it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py graph``."""
    parser.add_argument("--batch", type=int, default=64, help="images")
    parser.add_argument("--nodes", type=int, default=200, help="superpixels of an image")
    parser.add_argument("--knn", type=int, default=20, help="neighbours of a node")
    parser.add_argument("--channels", type=int, default=64, help="width of the block")
    parser.add_argument("--aggregation", choices=["max", "mean"], default="max")
    parser.add_argument("--repeats", type=int, default=10, help="turns; the median counts")


def run(args: Namespace) -> Result:
    """Measure every block in all its ways."""
    torch.manual_seed(0)
    given = _inputs(args)
    rows: list[Row] = []
    for name, ways in _blocks(args, given[2]).items():
        steps = {way: partial(_step, *block, given) for way, block in ways.items()}
        taken = seconds(steps, args.repeats)
        for way, (_, forward) in ways.items():
            values = {
                "ms": 1e3 * taken[way],
                "ours/this": taken["ours"] / taken[way],
                "saved MB": saved_bytes(partial(forward, *given[:3]))[0] / 1e6,
                "peak MB": peak_bytes(steps[way]) / 1e6,
            }
            rows.append(Row(f"{name}, {way}", values))
    title = f"B={args.batch} N={args.nodes} k={args.knn} C={args.channels} {args.aggregation}"
    return Result(f"Training step of a graph block, {title}", rows, {}, _goals(rows))


def _goals(rows: list[Row]) -> list[Goal]:
    """Memory against the blocks that keep their edges, and time against EdgeConv."""
    values = {row.name: row.values for row in rows}
    goals = []
    for name in ("DGCNN", "DiffGCN"):
        share = values[f"{name}, ours"]["saved MB"] / values[f"{name}, kept"]["saved MB"]
        goals.append(Goal(f"{name}, saved bytes sgseg / edges kept", share, "<=", 0.1))
    convolution = values["DGCNN, EdgeConv"]["ms"] / values["DGCNN, ours"]["ms"]
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


def _blocks(args: Namespace, neighbours: Tensor) -> dict[str, dict[str, Way]]:
    blocks = {
        "PointNet": PointNetBlock(args.channels),
        "DGCNN": DGCNNBlock(args.channels, args.aggregation),
        "DiffGCN": DiffGCNBlock(args.channels, args.aggregation),
    }
    ways: dict[str, dict[str, Way]] = {}
    for name, block in blocks.items():
        block.to(neighbours.device)
        ways[name] = {"ours": (block, block)}
        if hasattr(type(block).forward, "__wrapped__"):  # what keeps_inputs_only decorates
            ways[name]["kept"] = block, partial(type(block).forward.__wrapped__, block)
    convolution = EdgeConvBlock(blocks["DGCNN"], neighbours, args.aggregation).to(neighbours.device)
    ways["DGCNN"]["EdgeConv"] = convolution, convolution
    return ways


def _step(block: nn.Module, forward: Callable[..., Tensor], given: Inputs) -> None:
    """Forward pass, and gradients by features, positions and weights."""
    *inputs, back = given
    wanted = [*inputs[:2], *block.parameters()]
    torch.autograd.grad((forward(*inputs) * back).sum(), wanted, materialize_grads=True)
