"""Equations 7 and 18-22 against plain loops written from the paper's text, in float64."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from torch import nn

from sgseg.models import (
    ACHead,
    ClusteringLoss,
    EdgeLoss,
    ImageReconstructionLoss,
    MutualInformationLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
    TotalVariationLoss,
)
from sgseg.ops.information import joint_counts, mutual_information
from sgseg.structures import SegState, Superpixels, View

Array = np.ndarray


def agree(actual: torch.Tensor, expected: Array | float, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=atol)


def readings(
    batch: int = 2, classes: int = 3, height: int = 3, width: int = 4, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two soft segmentations."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, batch, classes, height, width, generator=g, dtype=torch.float64)
    first, second = (2 * logits).softmax(2)
    return first, second


# Eq 7: the network of Tables 9 and 10, layer by layer.


def conv(x: Array, weight: Array, bias: Array | None, padding: tuple[int, int, int, int]) -> Array:
    """(C, H, W) with zero padding (left, right, top, bottom), one output value at a time."""
    left, right, top, bottom = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    k = weight.shape[2]
    height, width = padded.shape[1] - k + 1, padded.shape[2] - k + 1
    out = np.zeros((len(weight), height, width))
    for o in range(len(weight)):
        for i in range(height):
            for j in range(width):
                out[o, i, j] = (weight[o] * padded[:, i : i + k, j : j + k]).sum()
        if bias is not None:
            out[o] += bias[o]
    return out


def raster_conv(x: Array, weight: Array, order: int) -> Array:
    """3x3 AC: the scan's current line, where the pixel ahead is hidden, and two lines before it."""
    if order == 0:
        return conv(x, weight, None, (1, 1, 1, 1))
    columns, backward, reverse = {
        1: (False, False, False),
        3: (False, False, True),
        6: (False, True, False),
        7: (False, True, True),
        2: (True, False, False),
        5: (True, False, True),
        4: (True, True, False),
        8: (True, True, True),
    }[order]

    def turn(a: Array) -> Array:
        """To the scan of rows downwards, left to right."""
        a = a.swapaxes(-1, -2) if columns else a
        a = a[..., ::-1, :] if backward else a
        return a[..., ::-1] if reverse else a

    def turn_back(a: Array) -> Array:
        a = a[..., ::-1] if reverse else a
        a = a[..., ::-1, :] if backward else a
        return a.swapaxes(-1, -2) if columns else a

    kernel = turn(weight).copy()
    kernel[:, :, 2, 2] = 0
    return turn_back(conv(turn(x), kernel, None, (1, 1, 2, 0)))


def batch_norm(images: list[Array], norm: nn.BatchNorm2d) -> list[Array]:
    out = [np.zeros_like(x) for x in images]
    for c in range(norm.num_features):
        if norm.training:
            values = np.concatenate([x[c].ravel() for x in images])
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / len(values)
        else:
            mean, variance = norm.running_mean[c].item(), norm.running_var[c].item()
        for x, y in zip(images, out, strict=True):
            y[c] = norm.weight[c].item() * (x[c] - mean) / sqrt(variance + norm.eps)
            y[c] += norm.bias[c].item()
    return out


def relu(images: list[Array]) -> list[Array]:
    return [np.maximum(x, 0) for x in images]


def layer(images: list[Array], module: nn.Conv2d) -> list[Array]:
    bias = None if module.bias is None else module.bias.detach().numpy()
    pad = module.kernel_size[0] // 2
    return [conv(x, module.weight.detach().numpy(), bias, (pad,) * 4) for x in images]


def residual_block(images: list[Array], block: nn.Module, order: int) -> list[Array]:
    """Table 9."""
    weight = block.raster.weight.detach().numpy()
    y = relu(batch_norm([raster_conv(x, weight, order) for x in images], block.norm))
    y = relu(batch_norm(layer(y, block.mix[0]), block.mix[1]))
    widen = len(y[0]) - len(images[0])
    y = [a + np.pad(b, ((0, widen), (0, 0), (0, 0))) for a, b in zip(y, images, strict=True)]
    for inner, plain in block.refine:
        z = layer(relu(batch_norm(layer(y, inner[0]), inner[1])), plain)
        y = [a + b for a, b in zip(y, z, strict=True)]
    return y


def max_pool(x: Array) -> Array:
    out = np.zeros((len(x), x.shape[1] // 2, x.shape[2] // 2))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            out[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2))
    return out


def bilinear(x: Array, height: int, width: int) -> Array:
    """Pixel centres aligned, values beyond the border repeated."""

    def source(i: int, small: int, large: int) -> tuple[int, int, float]:
        at = max((i + 0.5) * small / large - 0.5, 0.0)
        low = int(at)
        return low, min(low + 1, small - 1), at - low

    out = np.zeros((len(x), height, width))
    for i in range(height):
        for j in range(width):
            top, bottom, v = source(i, x.shape[1], height)
            left, right, u = source(j, x.shape[2], width)
            upper = (1 - u) * x[:, top, left] + u * x[:, top, right]
            lower = (1 - u) * x[:, bottom, left] + u * x[:, bottom, right]
            out[:, i, j] = (1 - v) * upper + v * lower
    return out


def cnn(images: list[Array], head: ACHead, order: int) -> tuple[Array, Array]:
    """Table 10: class probabilities and reconstruction."""
    height, width = images[0].shape[1:]
    y = relu(batch_norm(layer(images, head.stem[0]), head.stem[1]))
    y = [max_pool(x) for x in y]
    for block in head.blocks:
        y = residual_block(y, block, order)
    y = layer(layer(y, head.classifier[0]), head.classifier[1])
    y = [bilinear(x, height, width) for x in y]
    probability = np.zeros((len(y), head.num_classes, height, width))
    for x, p in zip(y, probability, strict=True):
        for i in range(height):
            for j in range(width):
                total = sum(exp(x[k, i, j]) for k in range(head.num_classes))
                for k in range(head.num_classes):
                    p[k, i, j] = exp(x[k, i, j]) / total
    return probability, np.array(layer(y, head.to_image))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("order", range(9))
def test_eq7_segmentation_network(order: int, training: bool) -> None:
    """The head on image + projected features is Tables 9 and 10 in every raster order."""
    torch.manual_seed(order)
    image, projected = torch.randn(2, 2, 3, 5, 6).double(), torch.randn(2, 2, 2, 5, 6).double()
    head = ACHead(5, 3, image_channels=3, base_channels=1, multipliers=(2, 2, 3)).double()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    head.train(training)
    joined = [
        np.concatenate([image[0][b].numpy(), projected[0][b].numpy()]) for b in range(len(image[0]))
    ]
    probability, reconstruction = cnn(joined, head, order)
    view = head(torch.cat([image[0], projected[0]], 1), order)
    agree(view.reconstruction, reconstruction)
    agree(view.probability, probability)


# Eq 18-19: mutual information by counting.


def information(joint: Array) -> float:
    """H(M1) - H(M1 | M2) of counts."""
    joint = joint / joint.sum()
    first, second = joint.sum(1), joint.sum(0)
    entropy = -sum(p * log(p) for p in first)
    conditional = 0.0
    for a in range(len(joint)):
        for b in range(len(joint)):
            conditional -= joint[a, b] * log(joint[a, b] / second[b])
    return entropy - conditional


def co_occurrences(p: Array, q: Array, di: int, dj: int) -> Array:
    """Pairs of positions (i, j) in the first and (i + di, j + dj) in the second reading."""
    batch, classes, height, width = p.shape
    joint = np.zeros((classes, classes))
    for n in range(batch):
        for i in range(height):
            for j in range(width):
                if 0 <= i + di < height and 0 <= j + dj < width:
                    joint += np.outer(p[n, :, i, j], q[n, :, i + di, j + dj])
    return joint


def eq19(p: Array, q: Array, half_window: int = 0) -> float:
    steps = range(-half_window, half_window + 1)
    values = [information(co_occurrences(p, q, di, dj)) for di in steps for dj in steps]
    return float(np.mean(values))


@pytest.mark.parametrize("half_window", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_eq19_mutual_information(half_window: int, seed: int) -> None:
    """H(M1) - H(M1 | M2), averaged over the displacements when a window is asked for."""
    p, q = readings(seed=seed)
    agree(mutual_information(p, q, half_window), eq19(p.numpy(), q.numpy(), half_window))


@pytest.mark.parametrize("half_window", [1, 2])
def test_eq19_displacements_in_row_major_order(half_window: int) -> None:
    """Every displacement's joint holds exactly the pairs inside the image."""
    p, q = readings()
    steps = range(-half_window, half_window + 1)
    expected = [co_occurrences(p.numpy(), q.numpy(), di, dj) for di in steps for dj in steps]
    agree(joint_counts(p, q, half_window), np.array(expected))


def test_eq18_is_maximised() -> None:
    """The loss is minus Eq 19, so one descent step makes the readings share more."""
    p, q = readings()
    logits = p.log().requires_grad_()
    image = torch.zeros(1)
    views = (View(logits.softmax(1), image), View(q, image))
    loss = MutualInformationLoss()(SegState(image, views=views))
    agree(loss, -eq19(p.numpy(), q.numpy()))
    (slope,) = torch.autograd.grad(loss, logits)
    better = (logits - 0.1 * slope / slope.norm()).softmax(1).detach()
    assert eq19(better.numpy(), q.numpy()) > eq19(p.numpy(), q.numpy())


# Eq 20-22.


def full_state() -> SegState:
    """A state with all fields the losses read."""
    g = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    image, p, q = normal(2, 3, 3, 4), *readings()
    return SegState(
        image,
        superpixels=Superpixels(normal(2, 5, 3, 4).softmax(1), image, normal(2, 3, 3, 4)),
        projected=normal(2, 6, 3, 4),
        views=(View(p, normal(2, 3, 3, 4)), View(q, normal(2, 3, 3, 4))),
        view_images=(image, image),
    )


def eq20(state: SegState) -> float:
    """The squared norms of Eq 20, as a mean over pixels and bands (METHODS 9, row 5)."""
    total, count = 0.0, state.image.numel()
    for view in state.views:
        for ours, true in zip(view.reconstruction.flatten(), state.image.flatten(), strict=True):
            total += (ours.item() - true.item()) ** 2
    return total / count


def test_eq20_both_readings_rebuild_the_image() -> None:
    """Squared errors of both readings, summed over the two, mean over pixels and bands."""
    state = full_state()
    agree(ImageReconstructionLoss()(state), eq20(state))


def test_eq20_as_printed() -> None:
    """Without a mean: the sum over each image's pixels and bands, averaged over the images."""
    state = full_state()
    total = ImageReconstructionLoss(reduction="sum")(state)
    agree(total, eq20(state) * state.image[0].numel())
    with pytest.raises(ValueError, match="reduction = 'none'"):
        ImageReconstructionLoss(reduction="none")  # type: ignore[arg-type]


def test_eq21_segmentation_loss() -> None:
    """The CNN's loss is the mutual information loss plus the reconstruction, both with weight 1."""
    state = full_state()
    p, q = (view.probability.numpy() for view in state.views)
    ours = MutualInformationLoss()(state) + ImageReconstructionLoss()(state)
    agree(ours, eq20(state) - eq19(p, q))


def total_loss(state: SegState, alpha: float, beta: float, eta: float) -> float:
    """Eq 22 in whole-array NumPy; each term has its own loops in this folder."""
    P, image = state.superpixels.assignment.numpy(), state.image.numpy()
    own, m = state.superpixels.reconstruction.numpy(), state.projected.numpy()
    usage = P.mean((2, 3))
    clustering = -(P * np.log(P)).sum(1).mean() + 2 * (usage * np.log(usage)).sum(1).mean()
    smooth, tv, pixels = 0.0, 0.0, P[:, 0].size
    for axis in (2, 3):
        weight = np.exp(-(np.diff(image, axis=axis) ** 2).sum(1) / 10)
        smooth += (np.abs(np.diff(P, axis=axis)).sum(1) * weight).sum() / pixels
        tv += np.abs(np.diff(m, axis=axis)).sum() / pixels
    means = np.einsum("bnhw,bchw->bnc", P, image) / P.sum((2, 3))[..., None]
    soft = np.einsum("bnhw,bnc->bchw", P, means)
    recon = ((image - own) ** 2).mean() + ((image - soft) ** 2).mean()

    def edges(x: Array) -> Array:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        response = (windows.sum((4, 5)) - 9 * x).reshape(*x.shape[:2], -1)
        response = np.exp(response / np.abs(response).max(2, keepdims=True))
        return response / response.sum(2, keepdims=True)

    target = edges(image)
    edge = sum((target * np.log(target / edges(x))).sum(2).mean() for x in (own, soft))
    spnn = clustering + alpha * smooth + beta * recon + eta * edge
    p, q = (view.probability.numpy() for view in state.views)
    return spnn + tv + eq20(state) - eq19(p, q)


@pytest.mark.parametrize("alpha, beta, eta", [(2.0, 5.0, 1.0), (1.0, 5.0, 0.5)])
def test_eq22_total(alpha: float, beta: float, eta: float) -> None:
    """All seven terms with Table 12's weights add up to L_SPNN + L_GNN + L_CNN."""
    state = full_state()
    losses = (
        ClusteringLoss(),
        SmoothnessLoss(alpha),
        SuperpixelReconstructionLoss(beta),
        EdgeLoss(eta),
        TotalVariationLoss(),
        MutualInformationLoss(),
        ImageReconstructionLoss(),
    )
    ours = torch.stack([loss(state) for loss in losses]).sum()
    agree(ours, total_loss(state, alpha, beta, eta))


def test_eq22_default_weights_are_coco_stuffs() -> None:
    """Losses built without arguments carry alpha 2, beta 5, eta 1 of Table 12, all else 1."""
    assert ClusteringLoss().weight == 1
    assert SmoothnessLoss().weight == 2
    assert SuperpixelReconstructionLoss().weight == 5
    assert EdgeLoss().weight == 1
    assert TotalVariationLoss().weight == 1
    assert MutualInformationLoss().weight == 1
    assert ImageReconstructionLoss().weight == 1
