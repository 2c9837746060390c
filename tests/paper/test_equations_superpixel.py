"""Equations 1-4, 6 and 8-13 against plain loops written from the paper's text, in float64.

Indices as in the paper: pixel (i, j) or (h, w), superpixel s; arrays here are channel first.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import numpy as np
import pytest
import torch

from sgseg.models import (
    SPNN,
    ClusteringLoss,
    EdgeLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
)
from sgseg.ops.image import edge_divergence, smoothness
from sgseg.ops.information import clustering_objective
from sgseg.ops.superpixel import coordinates, hard_image, pool, project, soft_image
from sgseg.structures import SegState, Superpixels

Array = np.ndarray
B, N, H, W = 2, 4, 3, 5
PIXELS = [(i, j) for i in range(H) for j in range(W)]


def scene(bands: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A soft assignment, an image and another image."""
    g = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(B, N, H, W, generator=g, dtype=torch.float64)
    images = torch.randn(2, B, bands, H, W, generator=g, dtype=torch.float64)
    return logits.softmax(1), images[0], images[1]


def agree(actual: torch.Tensor, expected: Array | float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-12)


def per_image(function: Callable[..., Array | float], *maps: torch.Tensor) -> Array:
    return np.array([function(*(m[b].numpy() for m in maps)) for b in range(B)])


def eq1(P: Array, image: Array) -> Array:
    out = np.zeros_like(image)
    for i, j in PIXELS:
        total, count = np.zeros(len(image)), 0
        for h, w in PIXELS:
            if np.argmax(P[:, i, j]) == np.argmax(P[:, h, w]):
                total += image[:, h, w]
                count += 1
        out[:, i, j] = total / count
    return out


def eq3(P: Array, features: Array) -> Array:
    nodes = np.zeros((len(P), len(features)))
    for s in range(len(P)):
        total, mass = np.zeros(len(features)), 0.0
        for h, w in PIXELS:
            total += P[s, h, w] * features[:, h, w]
            mass += P[s, h, w]
        nodes[s] = total / mass
    return nodes


def eq6(P: Array, nodes: Array) -> Array:
    out = np.zeros((nodes.shape[1], H, W))
    for i, j in PIXELS:
        for s in range(len(P)):
            out[:, i, j] += P[s, i, j] * nodes[s]
    return out


def eq2(P: Array, image: Array) -> Array:
    out = np.zeros_like(image)
    for i, j in PIXELS:
        for s in range(len(P)):
            total, mass = np.zeros(len(image)), 0.0
            for h, w in PIXELS:
                total += P[s, h, w] * image[:, h, w]
                mass += P[s, h, w]
            out[:, i, j] += P[s, i, j] * (total / mass)
    return out


def eq9(P: Array, balance: float) -> float:
    first = sum(-P[s, i, j] * log(P[s, i, j]) for i, j in PIXELS for s in range(len(P)))
    second = 0.0
    for s in range(len(P)):
        usage = sum(P[s, i, j] for i, j in PIXELS) / (H * W)
        second += usage * log(usage)
    return first / (H * W) + balance * second


def eq10(P: Array, image: Array, sigma: float) -> float:
    total = 0.0
    for i, j in PIXELS:
        for h, w in ((i, j + 1), (i + 1, j)):
            if h < H and w < W:
                change = np.abs(P[:, h, w] - P[:, i, j]).sum()
                edge = ((image[:, h, w] - image[:, i, j]) ** 2).sum()
                total += change * exp(-edge / sigma)
    return total / (H * W)


def eq11(image: Array, own: Array) -> float:
    bands = len(image)  # the paper writes 3, the number of bands of RGB
    total = sum(((image[:, i, j] - own[:, i, j]) ** 2).sum() for i, j in PIXELS)
    return total / (bands * H * W)


def eq12(P: Array, image: Array, own: Array) -> float:
    return eq11(image, own) + eq11(image, eq2(P, image))


def edge_distribution(band: Array, normalise: str) -> Array:
    """SoftMax over all positions of the 8-neighbour Laplacian, reflected at the border."""
    response = np.zeros((H, W))
    for i, j in PIXELS:
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                h, w = abs(i + di), abs(j + dj)
                h, w = min(h, 2 * (H - 1) - h), min(w, 2 * (W - 1) - w)
                response[i, j] += band[h, w] * (-8.0 if di == dj == 0 else 1.0)
    if normalise == "max":
        response /= np.abs(response).max()
    return np.exp(response) / np.exp(response).sum()


def kl_of_edges(image: Array, other: Array, normalise: str) -> float:
    total = 0.0
    for c in range(len(image)):
        first = edge_distribution(image[c], normalise)
        second = edge_distribution(other[c], normalise)
        total += sum(first[p] * log(first[p] / second[p]) for p in PIXELS)
    return total / len(image)


def eq13(P: Array, image: Array, own: Array, normalise: str) -> float:
    return kl_of_edges(image, own, normalise) + kl_of_edges(image, eq2(P, image), normalise)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq1_hard_superpixel_image(bands: int) -> None:
    """Each pixel shows the mean colour of the pixels with the same strongest superpixel."""
    P, image, _ = scene(bands)
    agree(hard_image(P, image), per_image(eq1, P, image))


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq2_soft_superpixel_image(bands: int) -> None:
    """Each pixel shows the mixture of superpixel means by its own probabilities."""
    P, image, _ = scene(bands)
    agree(soft_image(P, image), per_image(eq2, P, image))


def test_eq3_nodes_of_position_colour_and_features() -> None:
    """A node is the P-weighted mean of position, colour and deep features."""
    P, image, deep = scene()
    xy = np.zeros((2, H, W))
    for i, j in PIXELS:  # pixel centres, each axis scaled to [-1, 1]
        xy[:, i, j] = 2 * (j + 0.5) / W - 1, 2 * (i + 0.5) / H - 1
    expected = [
        eq3(P[b].numpy(), np.concatenate([xy, image[b].numpy(), deep[b].numpy()])) for b in range(B)
    ]
    ours = coordinates(H, W, dtype=torch.float64).expand(B, -1, -1, -1)
    agree(pool(P, torch.cat([ours, image, deep], 1)), np.array(expected))


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq4_spnn_is_a_softmax_over_the_superpixels_alone(bands: int) -> None:
    """P is the softmax of the first N of N + C outputs; the other C are the image."""
    torch.manual_seed(0)
    net = SPNN(bands, num_superpixels=N, base_channels=2).double().eval()
    seen: list[torch.Tensor] = []
    net.classifier.register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    found = net(scene(bands)[1])
    raw = seen[0].numpy()
    assert raw.shape == (B, N + bands, H, W)
    P = np.zeros((B, N, H, W))
    for b in range(B):
        for i, j in PIXELS:
            total = sum(exp(raw[b, s, i, j]) for s in range(N))
            for s in range(N):
                P[b, s, i, j] = exp(raw[b, s, i, j]) / total
    agree(found.assignment, P)
    agree(found.reconstruction, raw[:, N:])
    agree(found.assignment.sum(1), np.ones((B, H, W)))
    assert found.assignment.min() >= 0


def test_eq6_projection() -> None:
    """A pixel's projected feature is the P-weighted sum of the node features."""
    P, _, _ = scene()
    nodes = torch.randn(B, N, 6, generator=torch.Generator().manual_seed(3)).double()
    agree(project(P, nodes), per_image(eq6, P, nodes))


def test_eq8_weighted_sum_of_the_four_terms() -> None:
    """The superpixel loss is clustering + alpha smoothness + beta recon + eta edge."""
    P, image, own = scene()
    state = SegState(image, Superpixels(P, image, own))
    alpha, beta, eta = 0.7, 5.0, 1.3
    losses = (
        ClusteringLoss(),
        SmoothnessLoss(alpha),
        SuperpixelReconstructionLoss(beta),
        EdgeLoss(eta, normalise="none"),
    )
    expected = [
        eq9(p, 2.0) + alpha * eq10(p, x, 10.0) + beta * eq12(p, x, y) + eta * eq13(p, x, y, "none")
        for p, x, y in zip(P.numpy(), image.numpy(), own.numpy(), strict=True)
    ]
    agree(torch.stack([loss(state) for loss in losses]).sum(), float(np.mean(expected)))


@pytest.mark.parametrize("balance", [0.0, 1.0, 2.0])
def test_eq9_clustering(balance: float) -> None:
    """Pixel entropy minus lambda times the entropy of the superpixel weights, per image."""
    P, _, _ = scene()
    expected = per_image(lambda p: eq9(p, balance), P).mean()
    agree(clustering_objective(P, balance), expected)


def test_eq9_uses_the_papers_lambda_by_default() -> None:
    """Without arguments lambda is 2."""
    P, image, own = scene()
    expected = per_image(lambda p: eq9(p, 2.0), P).mean()
    agree(clustering_objective(P), expected)
    agree(ClusteringLoss()(SegState(image, Superpixels(P, image, own))), expected)


@pytest.mark.parametrize("sigma", [0.5, 10.0])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq10_smoothness(bands: int, sigma: float) -> None:
    """Changes of P are penalised less where the image changes."""
    P, image, _ = scene(bands)
    expected = per_image(lambda p, x: eq10(p, x, sigma), P, image).mean()
    agree(smoothness(P, image, sigma), expected)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq11_reconstruction_alone(bands: int) -> None:
    """With every pixel its own superpixel the soft image is exact and Eq 11 remains."""
    _, image, own = scene(bands)
    P = torch.eye(H * W).double().view(1, H * W, H, W).expand(B, -1, -1, -1)
    loss = SuperpixelReconstructionLoss(1.0)(SegState(image, Superpixels(P, image, own)))
    agree(loss, per_image(eq11, image, own).mean())


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq12_both_reconstructions(bands: int) -> None:
    """The network's image and the soft superpixel image count alike, per band and pixel."""
    P, image, own = scene(bands)
    loss = SuperpixelReconstructionLoss(1.0)(SegState(image, Superpixels(P, image, own)))
    agree(loss, per_image(eq12, P, image, own).mean())


@pytest.mark.parametrize("normalise", ["none", "max"])
def test_eq13_edge_divergence_of_two_images(normalise: str) -> None:
    """KL(E_I || E_other) with the edge maps as distributions over all positions."""
    _, image, other = scene()
    expected = per_image(lambda x, y: kl_of_edges(x, y, normalise), image, other).mean()
    agree(edge_divergence(image, other, normalise), expected)


@pytest.mark.parametrize("normalise", ["none", "max"])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_eq13_edge_loss(bands: int, normalise: str) -> None:
    """Both the network's image and the soft superpixel image answer to the input's edges."""
    P, image, own = scene(bands)
    state = SegState(image, Superpixels(P, image, own))
    expected = per_image(lambda p, x, y: eq13(p, x, y, normalise), P, image, own).mean()
    agree(EdgeLoss(1.0, normalise)(state), expected)
