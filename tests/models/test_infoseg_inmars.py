"""InfoSeg and InMARS: gradients, adversarial noise, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sgseg.models import InfoSeg, InMARS
from sgseg.models.segmentors.inmars import _unit, divergence

COMMON: dict[str, Any] = dict(
    data_preprocessor=dict(type="ImagePreprocessor", standardise="none"),
    backbone=dict(type="Net10a", base_channels=2, sobel=False, pad_like_iic=False),
    views=dict(type="JitteredViews"),
)


def infoseg(**changes: Any) -> InfoSeg:
    torch.manual_seed(0)
    head = dict(type="InfoSegHead", num_classes=3, channels=4)
    return InfoSeg(**(COMMON | dict(decode_head=head) | changes))


def inmars(**changes: Any) -> InMARS:
    torch.manual_seed(0)
    head = dict(type="ClusterHead", num_classes=3, pad_like_iic=False)
    return InMARS(**(COMMON | dict(decode_head=head) | changes))


def images(count: int = 3, side: int = 20) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def regions(count: int = 3, side: int = 20) -> Tensor:
    return (torch.arange(side * side) // 25).view(1, side, side).expand(count, -1, -1)


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum((v for name, v in terms.items() if "loss" in name), start=torch.zeros(()))


def test_every_weight_is_trained() -> None:
    """One step reaches every parameter of both methods, but the class blocks' own bias too."""
    for model, terms in (
        (infoseg(), lambda m: m(images(), mode="loss")),
        (inmars(), lambda m: m(images(), regions=regions(), mode="loss")),
    ):
        total(terms(model)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


def test_classes_are_told_apart_within_an_image() -> None:
    """The prediction is the assignment to the image's own class vectors, summing to one."""
    model = infoseg().eval()
    both = model.infer(images()).probability
    torch.testing.assert_close(both.sum(1), torch.ones(3, 20, 20))
    alone = torch.cat([model.infer(images()[i : i + 1]).probability for i in range(3)])
    torch.testing.assert_close(both, alone)


def test_infoseg_needs_another_image() -> None:
    """With one image there is no negative, and the message says what to raise."""
    with pytest.raises(ValueError, match="batch_size"):
        infoseg()(images(1), mode="loss")


def test_balance_is_an_extra_term() -> None:
    """Off by default; on, it rewards even use of the classes."""
    assert "loss_balance" not in infoseg()(images(), mode="loss")
    assert infoseg(balance=1.0)(images(), mode="loss")["loss_balance"] < 0


def test_worst_noise_is_worse_than_random_noise() -> None:
    """Of equal length, the adversarial direction moves the prediction more, image by image."""
    model = inmars().eval()
    image = images()
    target = model.probability(image).detach()
    worst = model._worst_noise(image, target, torch.Generator().manual_seed(0))
    torch.testing.assert_close(worst.flatten(1).norm(dim=1), torch.ones(3))
    random = _unit(torch.randn(image.shape, generator=torch.Generator().manual_seed(5)))
    reached, by_chance = (
        divergence(target, model.probability(image + noise)) for noise in (worst, random)
    )
    assert reached > 2 * by_chance


def test_noise_leaves_no_trace_in_the_statistics() -> None:
    """Running statistics take in the image and its second view, and not the disturbed image."""
    model = inmars(adversarial=1.0)
    model(images(), regions=regions(), mode="loss")
    norm = model.backbone.layers[0][1]
    assert int(norm.num_batches_tracked) == 2
    assert norm.track_running_stats


def test_regions_are_wanted() -> None:
    """Without regions the message names the transform."""
    with pytest.raises(ValueError, match="SLICRegions"):
        inmars()(images(), mode="loss")


def test_infoseg_takes_no_regions() -> None:
    """Regions that a method leaves unused are an error."""
    with pytest.raises(ValueError, match="regions"):
        infoseg()(images(), regions=regions(), mode="loss")


def test_a_few_steps_of_inmars_learn() -> None:
    """Two shades are two classes: the loss falls towards its bound."""
    torch.manual_seed(0)
    halves = torch.full((4, 3, 20, 20), 0.2)
    halves[..., 10:] = 0.8
    owner = (torch.arange(20) // 5).view(1, 1, 20).expand(4, 20, 20)
    head = dict(type="ClusterHead", num_classes=2, pad_like_iic=False)
    model = inmars(decode_head=head)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = total(model(halves, regions=owner, mode="loss"))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
