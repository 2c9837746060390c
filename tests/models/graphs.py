"""Small graphs, and every block that they are given to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sgseg.ops.graph import knn
from sgseg.registry import MODELS

B, N, C, K = 2, 7, 4, 3
BLOCKS = [
    dict(type="PointNetBlock"),
    dict(type="DGCNNBlock"),
    dict(type="DGCNNBlock", aggregation="mean", include_self=True),
    dict(type="DiffGCNBlock"),
    dict(type="DiffGCNBlock", aggregation="mean"),
    dict(type="PyGBlock", conv="GATv2Conv"),
    dict(type="PyGBlock", conv="SAGEConv"),
]
NAMES = ["PointNet", "DGCNN", "DGCNN-mean-self", "DiffGCN", "DiffGCN-mean", "GATv2", "SAGE"]
every_block = pytest.mark.parametrize("config", BLOCKS, ids=NAMES)


def build(config: dict, channels: int = C) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(dict(config, channels=channels)).double().eval()


def cloud(batch: int = B, count: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, count, C, generator=g, dtype=torch.float64)
    pos = 2 * torch.rand(batch, count, 2, generator=g, dtype=torch.float64) - 1
    return x, pos, knn(x, K)
