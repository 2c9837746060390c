"""Losses: weight times operation, what they need, gradients, and a loss of one's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from math import log

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from sgseg.cost.measure import peak_bytes, saved_bytes
from sgseg.models import (
    ClusteringLoss,
    EdgeLoss,
    ImageReconstructionLoss,
    MutualInformationLoss,
    SegLoss,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
    TotalVariationLoss,
)
from sgseg.models.losses import superpixel as superpixel_losses
from sgseg.ops import soft_image
from sgseg.ops.fused import blocks, plain_forms
from sgseg.ops.image import edge_divergence, smoothness, total_variation
from sgseg.ops.information import clustering_objective, mutual_information
from sgseg.registry import MODELS
from sgseg.structures import SegState, Superpixels, View

SUPERPIXEL = [ClusteringLoss, SmoothnessLoss, SuperpixelReconstructionLoss, EdgeLoss]
SEGMENTATION = [TotalVariationLoss, MutualInformationLoss, ImageReconstructionLoss]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def state(bands: int = 3, height: int = 5, width: int = 4) -> SegState:
    """Everything the losses may read, as leaves that take gradients."""
    size = (height, width)
    leaves = [normal(2, n, *size, seed=n).requires_grad_() for n in (6, 7, 8)]
    images = [normal(2, bands, *size, seed=s) for s in range(2)]
    own = [normal(2, bands, *size, seed=s).requires_grad_() for s in range(2, 5)]
    return SegState(
        images[0],
        superpixels=Superpixels(leaves[0].softmax(1), leaves[1], own[0]),
        projected=leaves[2],
        views=(
            View((2 * normal(2, 3, *size, seed=10)).requires_grad_().softmax(1), own[1]),
            View((2 * normal(2, 3, *size, seed=11)).requires_grad_().softmax(1), own[2]),
        ),
        view_images=(images[0], images[1]),
    )


def square(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).mean()


def edges(s: SegState, normalise: str, temperature: float) -> Tensor:
    soft = soft_image(s.superpixels.assignment, s.image)
    pair = (s.superpixels.reconstruction, soft)
    return sum(edge_divergence(s.image, x, normalise, temperature) for x in pair)


def readings(s: SegState) -> tuple[Tensor, Tensor]:
    return s.views[0].probability, s.views[1].probability


CASES: list[tuple[type[SegLoss], dict, Callable[[SegState], Tensor]]] = [
    (ClusteringLoss, {}, lambda s: clustering_objective(s.superpixels.assignment, 2.0)),
    (
        ClusteringLoss,
        dict(balance=0.5),
        lambda s: clustering_objective(s.superpixels.assignment, 0.5),
    ),
    (SmoothnessLoss, {}, lambda s: smoothness(s.superpixels.assignment, s.image, 10.0)),
    (SmoothnessLoss, dict(sigma=0.1), lambda s: smoothness(s.superpixels.assignment, s.image, 0.1)),
    (
        SuperpixelReconstructionLoss,
        {},
        lambda s: (
            square(s.image, s.superpixels.reconstruction)
            + square(s.image, soft_image(s.superpixels.assignment, s.image))
        ),
    ),
    (EdgeLoss, {}, lambda s: edges(s, "max", 1.0)),
    (EdgeLoss, dict(normalise="none", temperature=0.5), lambda s: edges(s, "none", 0.5)),
    (TotalVariationLoss, {}, lambda s: total_variation(s.projected)),
    (MutualInformationLoss, {}, lambda s: -mutual_information(*readings(s))),
    (
        MutualInformationLoss,
        dict(half_window=1, balance=1.5),
        lambda s: -mutual_information(*readings(s), 1, 1.5),
    ),
    (
        ImageReconstructionLoss,
        {},
        lambda s: (
            square(s.views[0].reconstruction, s.view_images[0])
            + square(s.views[1].reconstruction, s.view_images[1])
        ),
    ),
]


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("kind, options, operation", CASES)
def test_loss_is_weight_times_operation(
    kind: type[SegLoss],
    options: dict,
    operation: Callable[[SegState], Tensor],
    weight: float,
) -> None:
    """A loss adds nothing to its operation but the weight, and its keys reach the operation."""
    given = state()
    found = kind(weight=weight, **options)(given)
    assert found.shape == ()
    torch.testing.assert_close(found, weight * operation(given))


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("kind", SUPERPIXEL + SEGMENTATION)
def test_any_number_of_bands(kind: type[SegLoss], bands: int) -> None:
    """Every loss works on grey, RGB and RGBIR images and gives a finite scalar."""
    found = kind()(state(bands))
    assert found.shape == () and found.isfinite()


@pytest.mark.parametrize("kind", [SuperpixelReconstructionLoss, ImageReconstructionLoss])
def test_reconstruction_does_not_grow_with_bands_or_pixels(kind: type[SegLoss]) -> None:
    """The same error in every value costs the same in small RGB and large RGBIR images."""
    values = []
    for bands, height, width in ((3, 4, 4), (4, 8, 6)):
        image = torch.zeros(2, bands, height, width)
        P = torch.full((2, 2, height, width), 0.5)
        views = (View(P, image + 2), View(P, image + 2))
        given = SegState(
            image, Superpixels(P, P, image + 2), views=views, view_images=(image, image)
        )
        values.append(kind(weight=1.0)(given).item())
    expected = 4.0 if kind is SuperpixelReconstructionLoss else 8.0
    assert values == pytest.approx([expected, expected])


@pytest.mark.parametrize("kind", SUPERPIXEL)
def test_superpixel_losses_need_superpixels(kind: type[SegLoss]) -> None:
    """Without a backbone the message names the loss and says what to do."""
    with pytest.raises(ValueError, match=f"{kind.__name__} needs superpixels.*remove the loss"):
        kind()(replace(state(), superpixels=None))


def test_total_variation_needs_projected_features() -> None:
    """Without projected features the message names the loss and says what to do."""
    with pytest.raises(ValueError, match="TotalVariationLoss needs projected .*remove the loss"):
        TotalVariationLoss()(replace(state(), projected=None))


@pytest.mark.parametrize("kind", [MutualInformationLoss, ImageReconstructionLoss])
def test_segmentation_losses_need_both_readings(kind: type[SegLoss]) -> None:
    """Without the head's readings the message names the loss and what it needs."""
    with pytest.raises(ValueError, match=f"{kind.__name__} needs the head's two readings"):
        kind()(replace(state(), views=None))


def test_image_reconstruction_needs_the_images() -> None:
    """Without the images that were read the message says so."""
    with pytest.raises(ValueError, match="ImageReconstructionLoss needs the images"):
        ImageReconstructionLoss()(replace(state(), view_images=None))


@pytest.mark.parametrize("kind", SUPERPIXEL)
def test_superpixel_losses_need_only_the_backbone(kind: type[SegLoss]) -> None:
    """In the superpixel stage nothing but the image and its superpixels is there."""
    given = state()
    alone = SegState(given.image, given.superpixels)
    torch.testing.assert_close(kind()(alone), kind()(given))
    assert kind.part == "superpixel"


@pytest.mark.parametrize("kind", SEGMENTATION)
def test_segmentation_losses_belong_to_the_second_stage(kind: type[SegLoss]) -> None:
    """They do not run while the backbone trains alone."""
    assert kind.part == "segmentation"


def test_each_reading_answers_for_the_image_it_saw() -> None:
    """With two differently lit views a reading that rebuilds its own image costs nothing."""
    given = state()
    first, second = given.view_images
    views = (View(given.views[0].probability, first), View(given.views[1].probability, second))
    right, wrong = replace(given, views=views), replace(given, views=views[::-1])
    assert ImageReconstructionLoss()(right).item() == 0
    assert ImageReconstructionLoss()(wrong).item() > 0


def test_mutual_information_is_lowest_for_equal_sure_readings() -> None:
    """Minus log K is the least value, reached by equal, sure and balanced readings."""
    owner = torch.arange(12).view(1, 1, 3, 4).expand(2, 1, 3, 4) % 3
    sure = View(torch.zeros(2, 3, 3, 4).scatter_(1, owner, 1.0), torch.zeros(1))
    given = SegState(torch.zeros(1), views=(sure, sure))
    assert MutualInformationLoss()(given).item() == pytest.approx(-log(3), abs=1e-6)
    assert MutualInformationLoss()(state()).item() > -log(3)


def pulled(logits: Tensor, balance: float, shares: tuple[float, ...]) -> Tensor:
    """The loss of sure readings that agree and use the classes as a softmax says."""
    loss = MutualInformationLoss(balance=balance, shares=shares)
    sure = torch.eye(len(logits))[None, :, None]  # (1, K, 1, K): a pixel a class
    views = (View(sure, sure), View(sure * logits.softmax(0), sure))  # the joint is diag(usage)
    return loss(SegState(sure, views=views))


@pytest.mark.parametrize("balance", [1.0, 1.5])
def test_the_least_loss_has_the_stated_shares(balance: float) -> None:
    """Among sure readings that agree, whatever pull to equal sizes the information has itself."""
    shares = (0.65, 0.2, 0.15)
    logits = torch.tensor(shares).log().requires_grad_()
    least = pulled(logits, balance, shares)
    (gradient,) = torch.autograd.grad(least, logits)
    assert gradient.abs().max() < 1e-5
    for other in ((0.5, 0.3, 0.2), (0.34, 0.33, 0.33), (0.8, 0.1, 0.1)):
        assert pulled(torch.tensor(other).log(), balance, shares) > least + 0.01


def test_the_largest_share_goes_to_the_class_that_is_largest() -> None:
    """Whatever its number: two runs whose classes have changed places have one loss."""
    shares = (0.6, 0.3, 0.1)
    logits = torch.tensor([0.2, 0.0, 0.6])
    values = []
    for order in ([0, 1, 2], [2, 0, 1]):
        loss = MutualInformationLoss(shares=shares)
        sure = torch.eye(3)[None, :, None]
        views = (View(sure, sure), View(sure * logits[order].softmax(0), sure))
        given = SegState(sure, views=views)
        values.append(torch.stack([loss(given) for _ in range(3)]))
        assert loss.usage.argmax() == order.index(2)
    torch.testing.assert_close(values[0], values[1])


def test_shares_have_to_be_one_a_class() -> None:
    """Two shares for three classes: said with what sets both."""
    with pytest.raises(ValueError, match="2 shares for 3 classes.*--shares"):
        MutualInformationLoss(shares=[0.5, 0.5])(state())
    with pytest.raises(ValueError, match="shares_weight = 0.0 must be above 0"):
        MutualInformationLoss(shares=[0.5, 0.5], shares_weight=0.0)


@pytest.mark.parametrize("kind", SUPERPIXEL + SEGMENTATION)
def test_gradients_reach_what_the_loss_reads(kind: type[SegLoss]) -> None:
    """Backward works and gives finite, non-zero gradients."""
    given = state()
    reads = {
        TotalVariationLoss: [given.projected],
        MutualInformationLoss: [v.probability for v in given.views],
        ImageReconstructionLoss: [v.reconstruction for v in given.views],
        SuperpixelReconstructionLoss: given.superpixels[::2],
        EdgeLoss: given.superpixels[::2],
    }.get(kind, [given.superpixels.assignment])
    for slope in torch.autograd.grad(kind()(given), list(reads)):
        assert slope.isfinite().all() and slope.abs().sum() > 0


def on_logits(
    count: int = 40, dtype: torch.dtype = torch.float32, size: int = 8
) -> tuple[Tensor, SegState]:
    """Logits of P, and a state whose P is their softmax."""
    logits = (2 * normal(2, count, size, size, seed=0)).to(dtype).requires_grad_()
    image, own = (normal(2, 3, size, size, seed=s).to(dtype) for s in (1, 2))
    return logits, SegState(image, Superpixels(logits.softmax(1), image, own.requires_grad_()))


def all_superpixel_losses(state: SegState) -> Tensor:
    return torch.stack([kind()(state) for kind in SUPERPIXEL]).sum()


def test_all_superpixel_losses_equal_the_plain_forms() -> None:
    """Eq 8 with Table 12's weights: value and gradient by logits and reconstruction."""
    outcomes = []
    for forms in (nullcontext, plain_forms):
        logits, given = on_logits(dtype=torch.float64)
        with forms():
            value = all_superpixel_losses(given)
        leaves = (logits, given.superpixels.reconstruction)
        outcomes.append((value, *torch.autograd.grad(value, leaves)))
    torch.testing.assert_close(*outcomes, rtol=1e-12, atol=1e-12)


def test_losses_keep_p_and_nothing_of_its_size() -> None:
    """Beside P, which the softmax keeps anyway, all losses together keep less than half of it."""
    logits, given = on_logits(400)
    size = logits.numel() * logits.element_size()
    saved, _ = saved_bytes(lambda: all_superpixel_losses(given))
    assert size <= saved < 1.5 * size


def test_the_backward_pass_makes_gradients_and_nothing_of_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P, the gradient so far, one loss's, and their sum, which only a counted run makes apart."""
    monkeypatch.setattr(blocks, "_CPU", 2**13)
    logits, given = on_logits(400, size=24)
    size = logits.numel() * logits.element_size()
    P = given.superpixels.assignment
    peak = peak_bytes(lambda: torch.autograd.grad(all_superpixel_losses(given), P))
    assert peak < 4.2 * size


def test_fake_tensors_pass() -> None:
    """Memory is counted without running a step."""
    with FakeTensorMode():
        logits = torch.empty(2, 100, 64, 64, requires_grad=True)
        image = torch.empty(2, 3, 64, 64)
        p, q = (torch.empty(2, 15, 64, 64, requires_grad=True) for _ in range(2))
        views = (View(p, image), View(q, image))
        given = SegState(image, Superpixels(logits.softmax(1), image, image), views=views)
        loss = all_superpixel_losses(given) + MutualInformationLoss(half_window=10)(given)
        loss.backward()
    assert logits.grad is not None and logits.grad.shape == logits.shape
    assert p.grad is not None and p.grad.shape == p.shape


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The assignments that a soft image was made of."""
    seen: list[Tensor] = []

    def counted(assignment: Tensor, image: Tensor) -> Tensor:
        seen.append(assignment)
        return soft_image(assignment, image)

    monkeypatch.setattr(superpixel_losses, "soft_image", counted)
    return seen


def test_the_soft_image_is_made_once(made: list[Tensor]) -> None:
    """Reconstruction and edges of one step share Eq 2."""
    all_superpixel_losses(on_logits()[1])
    assert len(made) == 1


def test_another_assignment_has_its_own_soft_image(made: list[Tensor]) -> None:
    """A copied state with another P or another image does not inherit the old soft image."""
    given = on_logits()[1]
    loss = SuperpixelReconstructionLoss()
    first = loss(given)
    flat = torch.full_like(given.superpixels.assignment, 1 / 40)
    other = replace(given, superpixels=given.superpixels._replace(assignment=flat))
    assert not torch.equal(loss(other), first)
    loss(replace(given, image=given.image + 1))
    assert len(made) == 3


def test_looking_without_gradients_does_not_cost_the_gradient(made: list[Tensor]) -> None:
    """A soft image made under no_grad is not taken for the one that trains."""
    logits, given = on_logits()
    with torch.no_grad():
        EdgeLoss()(given)
    (slope,) = torch.autograd.grad(EdgeLoss()(given), logits)
    assert slope.abs().sum() > 0 and len(made) == 2


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("kind", SUPERPIXEL)
def test_extreme_assignments_are_finite(kind: type[SegLoss], hard: bool) -> None:
    """Uniform P, and one superpixel for all with the others empty, break no loss."""
    P = torch.full((2, 6, 5, 4), 1 / 6)
    if hard:
        P = torch.zeros(2, 6, 5, 4)
        P[:, 0] = 1
    P.requires_grad_()
    given = state()
    value = kind()(replace(given, superpixels=given.superpixels._replace(assignment=P)))
    (slope,) = torch.autograd.grad(value, P)
    assert value.isfinite() and slope.isfinite().all()


@pytest.mark.parametrize("kind", SUPERPIXEL + SEGMENTATION)
def test_half_precision_states_give_float32(kind: type[SegLoss]) -> None:
    """Under autocast, with a bfloat16 state, the loss is float32 and near the full one."""

    def half(value: object) -> object:
        if isinstance(value, Tensor):
            return value.detach().bfloat16()
        if hasattr(value, "_fields"):
            return type(value)(*map(half, value))
        return tuple(map(half, value)) if isinstance(value, tuple) else value

    given = state()
    low = SegState(**{f.name: half(getattr(given, f.name)) for f in fields(SegState)})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = kind()(low)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, kind()(given), rtol=0.05, atol=0.05)


class MeanLoss(SegLoss):
    """A loss as a plugin author writes it."""

    part = "superpixel"

    def __init__(self, weight: float = 3.0, power: int = 1) -> None:
        super().__init__(weight)
        self.power = power

    def term(self, state: SegState) -> Tensor:
        """Mean of a power of the image."""
        return (state.image**self.power).mean()


def test_a_loss_of_ones_own() -> None:
    """A subclass needs term() alone: the weight is applied, and configs build it by class."""
    given = state()
    loss = MODELS.build(dict(type=MeanLoss, power=2))
    assert isinstance(loss, SegLoss) and loss.part == "superpixel"
    torch.testing.assert_close(loss(given), 3 * given.image.square().mean())


def test_a_loss_without_term_says_so() -> None:
    """Forgetting term() is named with the class."""

    class Empty(SegLoss):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define term\(state\)"):
        Empty()(state())


@pytest.mark.parametrize("kind", SUPERPIXEL + SEGMENTATION)
def test_built_by_name(kind: type[SegLoss]) -> None:
    """A config line names a loss as a string and sets its weight."""
    loss = MODELS.build(dict(type=kind.__name__, weight=0.25))
    assert type(loss) is kind and loss.weight == 0.25
