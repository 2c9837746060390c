"""The losses of the methods beside SGSeg, against plain loops written from their descriptions.

IIC: METHODS of Ji et al. (ICCV 2019), steps 1-4 of its loss. InfoSeg and InMARS: the formulas of
the reconstruction, in float64.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from sgseg.models import MutualInformationLoss
from sgseg.models.decode_heads import InfoSegHead
from sgseg.models.segmentors.infoseg import local_global_loss
from sgseg.models.segmentors.inmars import (
    divergence,
    region_information_loss,
    region_probabilities,
)
from sgseg.structures import SegState, View

Array = np.ndarray


def soft(*shape: int, seed: int = 0) -> torch.Tensor:
    """Class probabilities along dim 1."""
    g = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=g, dtype=torch.float64)).softmax(1)


def iic_joints(x1: Array, x2: Array, mask: Array, window: int) -> dict[tuple[int, int], Array]:
    """Masked outer products of all pairs of pixels a displacement apart."""
    batch, classes, height, width = x1.shape
    joints = {}
    for down in range(-window, window + 1):
        for right in range(-window, window + 1):
            joint = np.zeros((classes, classes))
            for n in range(batch):
                for i in range(height):
                    for j in range(width):
                        k, m = i + down, j + right
                        if 0 <= k < height and 0 <= m < width and mask[n, i, j] and mask[n, k, m]:
                            joint += np.outer(x1[n, :, i, j], x2[n, :, k, m])
            joints[down, right] = joint
    return joints


def iic_term(joint: Array, balance: float) -> float:
    """Normalise, symmetrise, and weigh the marginals."""
    p = joint / joint.sum()
    p = (p + p.T) / 2
    rows, columns = p.sum(1), p.sum(0)
    total = 0.0
    for a in range(len(p)):
        for b in range(len(p)):
            total -= p[a, b] * (log(p[a, b]) - balance * log(rows[a]) - balance * log(columns[b]))
    return total


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize(("window", "balance"), [(0, 1.0), (1, 1.5), (2, 1.0)])
def test_iic_loss(window: int, balance: float, collapsed: bool) -> None:
    """Uncollapsed: mean of the terms of all displacements; collapsed: the term of their sum."""
    x1, x2 = soft(2, 3, 4, 5), soft(2, 3, 4, 5, seed=1)
    mask = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(2)) > 0.3
    joints = iic_joints(x1.numpy(), x2.numpy(), mask.numpy(), window)
    if collapsed:
        expected = iic_term(sum(joints.values()), balance)
    else:
        expected = float(np.mean([iic_term(joint, balance) for joint in joints.values()]))
    views = tuple(View(x * mask[:, None], x[:, :0]) for x in (x1, x2))
    loss = MutualInformationLoss(1.0, window, balance, symmetric=True, collapsed=collapsed)
    found = loss(SegState(x1, views=views)).item()
    assert found == pytest.approx(expected, abs=1e-12)


def test_iic_loss_of_perfect_views() -> None:
    """K equal classes, identical one-hot views: minus log K, which is why the loss is negative."""
    one_hot = torch.eye(4, dtype=torch.float64)[torch.arange(16) % 4].T.view(1, 4, 4, 4)
    views = (View(one_hot, one_hot[:, :0]),) * 2
    found = MutualInformationLoss(symmetric=True)(SegState(one_hot, views=views)).item()
    assert found == pytest.approx(-log(4), abs=1e-6)


def test_infoseg_loss() -> None:
    """V, S and the Jensen-Shannon terms, one place at a time; the negative is another image."""
    torch.manual_seed(0)
    head = InfoSegHead(3, 4, channels=5).double()
    for layer in (head.local, head.classes):
        torch.nn.init.normal_(layer.weight)
    feature = torch.randn(3, 3, 2, 2, dtype=torch.float64)
    found = head.describe(feature)
    local, classes = found.local.detach().numpy(), found.classes.detach().numpy()
    mixed = np.zeros_like(local)
    for b in range(3):
        for p in range(4):
            scores = [exp(5**-0.5 * local[b, p] @ classes[b, c]) for c in range(4)]
            share = [score / sum(scores) for score in scores]
            np.testing.assert_allclose(found.assignment[b, p].detach(), share, atol=1e-12)
            mixed[b, p] = sum(v * h for v, h in zip(share, classes[b], strict=True))
    total = 0.0
    for b in range(3):
        for p in range(4):
            total += log(1 + exp(-local[b, p] @ mixed[b, p]))
            total += log(1 + exp(local[b, p] @ mixed[b - 1, p]))
    ours = local_global_loss(found.local, found.assignment @ found.classes)
    assert ours.item() == pytest.approx(total / 12, abs=1e-12)


def entropy(p: Array) -> float:
    return -sum(float(x) * log(x) for x in p)


def test_inmars_loss() -> None:
    """Mean entropy of the regions minus four times that of their mean; regions of all images."""
    probability = soft(2, 3, 4, 4)
    regions = torch.randint(3, (2, 4, 4), generator=torch.Generator().manual_seed(3))
    held = []
    for b in range(2):
        for number in range(3):
            inside = (regions[b] == number).numpy()
            if inside.any():
                held.append(probability[b].numpy()[:, inside].mean(1))
    expected = np.mean([entropy(p) for p in held]) - 4 * entropy(np.mean(held, 0))
    found = region_information_loss(region_probabilities(probability, regions))
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_inmars_divergence() -> None:
    """KL(p || q), mean over pixels: zero for equal maps, and not symmetric."""
    p, q = soft(1, 3, 2, 2), soft(1, 3, 2, 2, seed=1)
    expected = float((p * (p / q).log()).sum() / 4)
    assert divergence(p, q).item() == pytest.approx(expected, abs=1e-12)
    assert divergence(p, p).item() == 0
    assert divergence(q, p).item() != pytest.approx(expected, abs=1e-3)
