"""Equations 5 and 14-17 against plain loops over edges, written from the paper's text, float64.

The transcription is not factorised: g(F_i, F_j) is concatenated edge by edge as in Eq 15 and 16,
then h = linear, batch normalisation (Tables 7-10 write BN behind each layer), ReLU.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn

from sgseg.models import DGCNNBlock, DiffGCNBlock, GraphNeck, PointNetBlock
from sgseg.ops.graph import knn
from sgseg.ops.image import total_variation

Array = np.ndarray
B, N, C, K = 2, 6, 3, 3


def agree(actual: torch.Tensor, expected: Array | float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-12)


def cloud(channels: int = C, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, positions and the graph of the features."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(B, N, channels, generator=g, dtype=torch.float64)
    pos = 2 * torch.rand(B, N, 2, generator=g, dtype=torch.float64) - 1
    return x, pos, knn(x, K)


def unsettle(module: nn.Module, training: bool, seed: int = 1) -> nn.Module:
    """Weights, scales, offsets and running statistics that are all different."""
    g = torch.Generator().manual_seed(seed)
    module = module.double()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=g, dtype=torch.float64) + 0.1)
    for parameter in module.parameters():
        parameter.data.sub_(0.6)
    return module.train(training)


def norm_relu(rows: Array, norm: nn.Module) -> Array:
    """ReLU(BN(rows)), row by row and channel by channel."""
    out = np.zeros_like(rows)
    for c in range(rows.shape[1]):
        if norm.training:
            mean = sum(rows[:, c]) / len(rows)
            variance = sum((value - mean) ** 2 for value in rows[:, c]) / len(rows)
        else:
            mean, variance = norm.running_mean[c].item(), norm.running_var[c].item()
        scale, offset = norm.weight[c].item(), norm.bias[c].item()
        for r, value in enumerate(rows[:, c]):
            out[r, c] = max(0.0, scale * (value - mean) / sqrt(variance + norm.eps) + offset)
    return out


def matrix(layer: nn.Linear) -> Array:
    return layer.weight.detach().numpy().copy()


def point_net(x: Array, block: PointNetBlock) -> Array:
    """Eq 14: every node by itself."""
    weight = matrix(block.update.linear)
    rows = np.array([weight @ x[b, i] for b in range(len(x)) for i in range(x.shape[1])])
    return norm_relu(rows, block.update.norm.norm).reshape(len(x), x.shape[1], -1)


def edge_features(kind: str, f_i: Array, f_j: Array, p_i: Array, p_j: Array) -> Array:
    if kind == "dgcnn":
        return np.concatenate([f_i, f_i - f_j])  # Eq 15
    distance = sqrt((p_i[0] - p_j[0]) ** 2 + (p_i[1] - p_j[1]) ** 2)
    along_x = (f_i - f_j) / distance * (p_i[0] - p_j[0])
    along_y = (f_i - f_j) / distance * (p_i[1] - p_j[1])
    return np.concatenate([f_i, along_x, along_y])  # Eq 16


def edge_conv(kind: str, x: Array, pos: Array, neighbours: Array, block: nn.Module) -> Array:
    """Eq 15: aggregate h(g(F_i, F_j)) over the edges (i, j)."""
    weight, rows = matrix(block.linear), []
    images, nodes, k = neighbours.shape
    for b in range(images):
        for i in range(nodes):
            for j in neighbours[b, i]:
                rows.append(weight @ edge_features(kind, x[b, i], x[b, j], pos[b, i], pos[b, j]))
    h = norm_relu(np.array(rows), block.norm.norm)
    out = np.zeros((images, nodes, h.shape[1]))
    for row in range(images * nodes):
        edges = h[row * k : (row + 1) * k]
        how = np.max if block.aggregate is torch.amax else np.mean
        out[row // nodes, row % nodes] = how(edges, 0)
    return out


def nearest(points: Array, k: int) -> Array:
    """The k other nodes at the least Euclidean distance."""
    out = np.zeros((len(points), points.shape[1], k), int)
    for b, cloud_ in enumerate(points):
        for i, point in enumerate(cloud_):
            far = [(sqrt(((point - q) ** 2).sum()), j) for j, q in enumerate(cloud_) if j != i]
            out[b, i] = [j for _, j in sorted(far)[:k]]
    return out


@pytest.mark.parametrize("training", [True, False])
def test_eq14_pointnet(training: bool) -> None:
    """PointNet refines each node by itself."""
    x, pos, neighbours = cloud()
    block = unsettle(PointNetBlock(C), training)
    expected = point_net(x.numpy(), block)
    agree(block(x, pos, neighbours), expected)
    assert np.abs(expected).max() > 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("aggregation", ["max", "mean"])
def test_eq15_dgcnn(aggregation: str, training: bool) -> None:
    """DGCNN aggregates h(F_i + (F_i - F_j)) over the neighbours."""
    x, pos, neighbours = cloud()
    block = unsettle(DGCNNBlock(C, aggregation), training)
    expected = edge_conv("dgcnn", x.numpy(), pos.numpy(), neighbours.numpy(), block)
    agree(block(x, pos, neighbours), expected)
    assert np.abs(expected).max() > 0


@pytest.mark.parametrize("training", [True, False])
def test_eq15_dgcnn_with_its_own_node_among_the_edges(training: bool) -> None:
    """include_self adds the edge (i, i) of DGCNN's own code to Eq 15."""
    x, pos, neighbours = cloud()
    block = unsettle(DGCNNBlock(C, include_self=True), training)
    own = torch.arange(N).expand(B, N)[..., None]
    edges = torch.cat([neighbours, own], 2).numpy()
    expected = edge_conv("dgcnn", x.numpy(), pos.numpy(), edges, block)
    agree(block(x, pos, neighbours), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("aggregation", ["max", "mean"])
def test_eq16_diffgcn(aggregation: str, training: bool) -> None:
    """DiffGCN aggregates over F_i and the derivatives along x and y towards each neighbour."""
    x, pos, neighbours = cloud()
    block = unsettle(DiffGCNBlock(C, aggregation, eps=1e-15), training)
    expected = edge_conv("diffgcn", x.numpy(), pos.numpy(), neighbours.numpy(), block)
    agree(block(x, pos, neighbours), expected)
    assert np.abs(expected).max() > 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["pointnet", "dgcnn", "diffgcn"])
def test_eq5_the_whole_graph_network(kind: str, training: bool) -> None:
    """GNN(F) is Table 8: 1x1, L blocks on one graph, all outputs joined, three 1x1 layers."""
    nodes = torch.cat(cloud()[1::-1], 2)  # positions first
    names = {"pointnet": "PointNetBlock", "dgcnn": "DGCNNBlock", "diffgcn": "DiffGCNBlock"}
    options = {"eps": 1e-15} if kind == "diffgcn" else {}
    neck = GraphNeck(2 + C, 4, num_blocks=2, knn=K, block=dict(type=names[kind], **options))
    unsettle(neck, training)
    flat, pos = nodes.numpy(), nodes[..., :2].numpy()

    def layer(x: Array, mlp: nn.Module) -> Array:
        rows = np.array([matrix(mlp.linear) @ row for row in x.reshape(-1, x.shape[2])])
        return norm_relu(rows, mlp.norm.norm).reshape(*x.shape[:2], -1)

    neighbours, x, outputs = nearest(flat, K), layer(flat, neck.stem), []
    for block in neck.blocks:
        if kind == "pointnet":
            x = point_net(x, block)
        else:
            x = edge_conv(kind, x, pos, neighbours, block)
        outputs.append(x)
    x = layer(layer(np.concatenate(outputs, 2), neck.fuse[0]), neck.fuse[1])
    last = neck.fuse[2]
    expected = np.array([[matrix(last) @ row + last.bias.detach().numpy() for row in b] for b in x])
    agree(neck(nodes), expected)


def test_eq17_total_variation() -> None:
    """Absolute changes to the right and downwards, summed over channels, divided by H W."""
    H, W = 3, 5
    m = torch.randn(B, C, H, W, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    totals = []
    for image in m.numpy():
        total = 0.0
        for i in range(H):
            for j in range(W):
                if j + 1 < W:
                    total += sum(abs(image[c, i, j + 1] - image[c, i, j]) for c in range(C))
                if i + 1 < H:
                    total += sum(abs(image[c, i + 1, j] - image[c, i, j]) for c in range(C))
        totals.append(total / (H * W))
    agree(total_variation(m), float(np.mean(totals)))
