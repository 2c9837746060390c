"""Networks trained on one image: the three settings, and what they are good for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sgseg.comparison import per_image
from sgseg.comparison.per_image import SETTINGS, optimise_superpixels
from sgseg.comparison.per_image_nets import build_net
from sgseg.labelmaps.classical import grid
from sgseg.labelmaps.quality import achievable_accuracy, explained_variation

MODES = tuple(SETTINGS)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A 36 x 48 image of four slanted bands of colour with noise, and the bands."""
    row, column = np.mgrid[:36, :48]
    truth = ((row + column) // 22) % 4
    colours = np.array([[0.9, 0.2, 0.2], [0.2, 0.8, 0.3], [0.2, 0.3, 0.9], [0.9, 0.9, 0.3]])
    noise = 0.03 * np.random.default_rng(0).standard_normal((36, 48, 3))
    return (colours[truth] + noise).clip(0, 1).astype(np.float32), truth


@pytest.mark.parametrize("mode", MODES)
def test_better_than_a_grid_where_there_are_regions(mode: Any) -> None:
    """The loss falls, and colour and regions are kept better than by a grid of as many cells."""
    image, truth = scene()
    found = optimise_superpixels(image, mode, 12, steps=40, width=8)
    assert found.losses[-1] < found.losses[0] and len(found.losses) == 40
    cells = grid(36, 48, 12)
    assert found.labels.shape == (36, 48) and found.labels.max() < 12
    assert explained_variation(found.labels, image) > explained_variation(cells, image)
    assert achievable_accuracy(found.labels, truth) > achievable_accuracy(cells, truth)


@pytest.mark.parametrize("mode", MODES)
def test_the_seed_decides_and_nothing_outside_changes(mode: Any) -> None:
    """The same twice, another with another seed; torch's own generator is left as it was."""
    image, _ = scene()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    runs = [optimise_superpixels(image, mode, 8, 3, width=4, seed=s) for s in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert runs[0].losses == runs[1].losses != runs[2].losses
    np.testing.assert_array_equal(runs[0].labels, runs[1].labels)


@pytest.mark.parametrize("bands", [1, 4])
@pytest.mark.parametrize("mode", MODES)
def test_any_bands_at_a_smaller_side(mode: Any, bands: int) -> None:
    """Trained on 12 rows, labels at the image's 30; uint8 as well as float."""
    image = np.random.default_rng(0).integers(0, 256, (30, 45, bands), dtype=np.uint8)
    found = optimise_superpixels(image, mode, 6, 2, side=12, width=4)
    assert found.labels.shape == (30, 45) and len(np.unique(found.labels)) > 1
    assert np.isfinite(found.losses).all()


def problem(mode: Any, count: int = 12) -> Any:
    """A problem before its first step."""
    image = per_image._standardised(per_image._resized(scene()[0], None))
    torch.manual_seed(0)
    return per_image._Fit(image, SETTINGS[mode], count, 4)


@pytest.mark.parametrize("mode", MODES)
def test_assignment_is_a_distribution(mode: Any) -> None:
    """P sums to one; edge-aware's is the product of its two marginals, a grid of 3 x 4."""
    task = problem(mode)
    with torch.no_grad():
        P = task.outputs()[0].double()
    torch.testing.assert_close(P.sum(1), torch.ones(1, 36, 48).double(), atol=1e-6, rtol=0)
    assert P.shape == (1, 12, 36, 48)
    if mode == "edge_aware":
        cells = P.unflatten(1, (3, 4))
        product = cells.sum(2, keepdim=True) * cells.sum(1, keepdim=True)
        torch.testing.assert_close(product, cells, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_loss_is_the_papers(mode: Any) -> None:
    """Each setting's total, written out pixel sum by pixel sum."""
    task = problem(mode)
    s = SETTINGS[mode]
    with torch.no_grad():
        P, own = task.outputs()
        total = task.loss().item()
    p, image, guide = (x[0].double() for x in (P, task.image, task.guide))
    pixels = p[0].numel()
    entropy = -(p * p.clamp_min(1e-8).log()).sum() / pixels
    usage = p.mean((1, 2))
    expected = entropy + s.balance * (usage * usage.clamp_min(1e-8).log()).sum()
    expected += s.reconstruction * ((own[0].double() - image) ** 2).mean()
    for dim in (1, 2):
        n = p.shape[dim]
        change = p.narrow(dim, 1, n - 1) - p.narrow(dim, 0, n - 1)
        edge = guide.narrow(dim, 1, n - 1) - guide.narrow(dim, 0, n - 1)
        weight = torch.exp(-(edge**2).sum(0) / 8)
        expected += s.smoothness * (change.abs().sum(0) * weight).sum() / pixels
        if s.contour:
            squared = (edge[:3] ** 2).sum(0)
            w = (2 * squared / squared.max()).clamp(max=1)
            w[w < 0.1] = 0
            expected -= s.contour * (w * (change.abs().sum(0) / 2).clamp_min(1e-8).log()).mean()
    if mode == "eliasof":
        weights = p.flatten(1) / p.flatten(1).sum(1, keepdim=True)
        soft = (p.flatten(1).T @ (weights @ image.flatten(1).T)).T.reshape(image.shape)
        expected += s.reconstruction * ((soft - image) ** 2).mean()
        assert 0 < total - expected.item() < 0.1  # the two small divergences of edges
    else:
        assert total == pytest.approx(expected.item(), rel=1e-4)


def test_settings_are_the_papers() -> None:
    """lambda, alpha, beta and steps of the three papers."""
    found = {m: (s.balance, s.smoothness, s.reconstruction, s.steps) for m, s in SETTINGS.items()}
    assert found == {
        "rim": (2, 2, 10, 500),
        "edge_aware": (1.5, 2, 10, 1000),
        "eliasof": (2, 2, 2, 500),
    }
    assert all(s.learning_rate == 1e-2 for s in SETTINGS.values())


@pytest.mark.parametrize(("trunk", "convolutions"), [("rim", 5), ("eliasof", 9)])
def test_networks(trunk: Any, convolutions: int) -> None:
    """Full resolution, 32 channels first, and a weight in every layer that learns."""
    net = build_net(trunk, 5, 11)
    x = torch.randn(1, 5, 12, 14)
    y = net(x)
    assert y.shape == (1, 11, 12, 14)
    y.square().sum().backward()
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == convolutions and layers[0].out_channels == 32
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_filter_keeps_edges_and_takes_texture() -> None:
    """Side windows: flatter inside a region than before, as steep at its border."""
    image, truth = scene()
    x = per_image._standardised(per_image._resized(image, None))
    guide = per_image._side_window_filter(x)
    inside, border = truth[:, 1:] == truth[:, :-1], truth[:, 1:] != truth[:, :-1]

    def steps(y: torch.Tensor, where: np.ndarray) -> float:
        return (y[0, :, :, 1:] - y[0, :, :, :-1]).square().sum(0).sqrt()[where].median().item()

    assert steps(guide, inside) < 0.6 * steps(x, inside)
    assert steps(guide, border) > 0.7 * steps(x, border)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(mode="slic"), "mode = 'slic'"),
        (dict(count=1), "count = 1"),
        (dict(steps=0), "steps = 0"),
        (dict(side=4), r"9 x 9 is the least"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    """The message names what was given and what would do."""
    with pytest.raises(ValueError, match=message):
        optimise_superpixels(scene()[0], **options)
