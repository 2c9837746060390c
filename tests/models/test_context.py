"""Doersch and Isola: where windows lie, what they answer, which pairs count; K-Means behind."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sgseg.models import ContextPrediction, CoOccurrence, RelativePosition
from sgseg.models.tasks.context import PatchPairs


def build(task: dict[str, Any], **changes: Any) -> ContextPrediction:
    torch.manual_seed(0)
    config: dict[str, Any] = dict(
        data_preprocessor=dict(type="ImagePreprocessor", standardise="none"),
        backbone=dict(type="Net10a", base_channels=2, pad_like_iic=False),
        context_head=dict(type="PatchPairHead", pool=1),
        task=dict(side=5) | task,
        decode_head=dict(type="CentroidHead", num_classes=3),
    )
    return ContextPrediction(**(config | changes))


def images(count: int = 4, side: int = 40) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", [RelativePosition(side=5), CoOccurrence(side=5)])
def test_windows_lie_inside(task: Any) -> None:
    """Both windows of every pair are inside an image that is not square, and reach its borders."""
    pairs = task.draw(4000, (30, 44), generator())
    for centres in pairs[:2]:
        rows, columns = centres.unbind(1)
        assert (int(rows.min()), int(rows.max())) == (2, 27)
        assert (int(columns.min()), int(columns.max())) == (2, 41)


@pytest.mark.parametrize("positions", [8, 9])
def test_directions(positions: int) -> None:
    """Answer i lies at i pi / 4 and 1.5 to 2 sides away; IIC's ninth is its first."""
    task = RelativePosition(num_positions=positions, side=11)
    pairs = task.draw(2000, (80, 80), generator())
    offset = (pairs.second - pairs.first).double()
    assert set(pairs.target.tolist()) == set(range(positions))
    angle = torch.atan2(offset[:, 0], offset[:, 1])
    turn = (angle - pairs.target * math.pi / 4 + math.pi) % (2 * math.pi) - math.pi
    assert turn.abs().max() < 0.06  # whole pixels
    assert offset.norm(dim=1).min() > 1.5 * 11 - 1 and offset.norm(dim=1).max() < 2 * 11 + 1


def test_neighbours() -> None:
    """Half of the pairs touch diagonally, the others are two sides away or more."""
    pairs = CoOccurrence(side=5).draw(2000, (60, 60), generator())
    offset = (pairs.second - pairs.first).double()
    near = pairs.target == 1
    assert 0.4 < near.float().mean() < 0.6
    assert (offset[near].abs() == 5).all()
    assert offset[~near].norm(dim=1).min() > 2 * 5 - 1
    assert len({tuple(o) for o in offset[near].tolist()}) == 4


def test_shared_location_is_one_pair_a_batch() -> None:
    """As IIC's code: every image of the batch is asked the same question."""
    pairs = RelativePosition(side=5, shared_location=True).draw(6, (40, 40), generator())
    for part in pairs:
        assert len(part) == 6 and (part == part[0]).all()


def test_images_too_small_are_refused() -> None:
    """The message names the sizes and the way out."""
    with pytest.raises(ValueError, match="larger images or a smaller side"):
        RelativePosition().draw(2, (20, 64), generator())


def test_windows_are_cut_from_enlarged_features() -> None:
    """The head sees what cutting the enlarged feature map would give."""
    model = build(dict(type="RelativePosition"))
    feature = torch.rand(2, 16, 20, 20)
    centres = torch.tensor([[2, 3], [30, 37]])
    found = model.cut(feature, centres, (40, 40))
    large = F.interpolate(feature, (40, 40), mode="bilinear")
    torch.testing.assert_close(found[0], large[0, :, 0:5, 1:6])
    torch.testing.assert_close(found[1], large[1, :, 28:33, 35:40])


@pytest.mark.parametrize("kind", ["RelativePosition", "CoOccurrence"])
def test_losses_are_torchs(kind: str) -> None:
    """Cross entropy over the directions; binary cross entropy for neighbours."""
    model = build(dict(type=kind)).eval()
    model.task.draw = lambda *_: pairs  # type: ignore[method-assign]
    target = torch.tensor([1, 0, 1, 0])
    centres = torch.tensor([[5, 5], [9, 9], [20, 20], [30, 12]])
    pairs = PatchPairs(centres, centres + 3, target)
    found = model(images(), mode="loss")["loss_context"]
    feature = model.backbone(images())
    logits = model.context_head(
        model.cut(feature, pairs.first, (40, 40)), model.cut(feature, pairs.second, (40, 40))
    )
    if kind == "CoOccurrence":
        expected = F.binary_cross_entropy_with_logits(logits[:, 0], target.float())
    else:
        expected = F.cross_entropy(logits, target)
    torch.testing.assert_close(found, expected)


def test_a_pair_counts_if_either_centre_is_unmasked() -> None:
    """Of four pairs the one with both centres masked is left out."""
    model = build(dict(type="RelativePosition")).eval()
    centres = torch.tensor([[5, 5], [5, 5], [20, 20], [20, 20]])
    other = torch.tensor([[5, 5], [20, 20], [5, 5], [20, 20]])
    pairs = PatchPairs(centres, other, torch.tensor([0, 1, 2, 3]))
    model.task.draw = lambda *_: pairs  # type: ignore[method-assign]
    mask = torch.zeros(4, 40, 40, dtype=torch.bool)
    mask[:, :10] = True
    found = model(images(), mask=mask, mode="loss")["loss_context"]
    feature = model.backbone(images())
    logits = model.context_head(
        model.cut(feature, centres, (40, 40)), model.cut(feature, other, (40, 40))
    )
    torch.testing.assert_close(found, F.cross_entropy(logits[:3], pairs.target[:3]))


def test_nothing_counts() -> None:
    """A batch without a counted pair gives a zero that still has a gradient path."""
    model = build(dict(type="CoOccurrence"))
    terms = model(images(), mask=torch.zeros(4, 40, 40, dtype=torch.bool), mode="loss")
    terms["loss_context"].backward()
    assert terms["loss_context"] == 0


def test_colours_are_dropped_in_training_alone() -> None:
    """Doersch trains on one colour; the features that are clustered see all three."""
    model = build(dict(type="RelativePosition"), drop_colours=True).eval()
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(images(), mode="loss")
    model.features(images())
    assert (seen[0] == images()).all(3).all(2).sum(1).tolist() == [1] * 4
    assert torch.equal(seen[1], images())


@pytest.mark.parametrize("kind", ["RelativePosition", "CoOccurrence"])
def test_the_same_questions_are_learnt(kind: str) -> None:
    """Asked the same eight questions again and again, the model answers them."""
    model = build(dict(type=kind), context_head=dict(type="PatchPairHead", dropout=0.0))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        model.draws.step = 0
        optimiser.zero_grad()
        loss = model(images(8), mode="loss")["loss_context"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("task", "message"),
    [(dict(num_positions=7), "choose 8 or 9"), (dict(side=4), "must be odd")],
)
def test_impossible_tasks_are_refused(task: dict[str, int], message: str) -> None:
    """Values that mean nothing are named."""
    with pytest.raises(ValueError, match=message):
        RelativePosition(**task)
