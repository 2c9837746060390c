"""The segmentor: stages, readings, views and what may not reach the loss."""

from typing import Any

import pytest
import torch

from sgseg.models import PhotometricViews, SGSeg
from sgseg.models.layers.draws import StepDraws

BANDS = 3


HEAD_LOSSES = dict(mutual_information=dict(type="MutualInformationLoss"))


def build(**changes: Any) -> SGSeg:
    """A tiny model with every loss."""
    torch.manual_seed(0)
    config: dict[str, Any] = dict(
        backbone=dict(type="SPNN", in_channels=BANDS, num_superpixels=6, base_channels=2),
        neck=dict(type="GraphNeck", in_channels=2 + BANDS + 16, channels=4, num_blocks=2, knn=3),
        decode_head=dict(
            type="ACHead",
            in_channels=BANDS + 4,
            num_classes=3,
            base_channels=4,
            multipliers=(1, 1),
        ),
        losses=dict(
            clustering=dict(type="ClusteringLoss"),
            edge=dict(type="EdgeLoss"),
            total_variation=dict(type="TotalVariationLoss"),
            mutual_information=dict(type="MutualInformationLoss"),
            image_reconstruction=dict(type="ImageReconstructionLoss"),
        ),
    )
    return SGSeg(**(config | changes))


def images(count: int = 2, height: int = 12, width: int = 10) -> torch.Tensor:
    """Random images."""
    return torch.randn(count, BANDS, height, width, generator=torch.Generator().manual_seed(1))


def touched(model: SGSeg) -> set[str]:
    """Parts of the model that one step gives a gradient."""
    terms = model.loss(images())
    sum(value for name, value in terms.items() if "loss" in name).backward()
    return {
        name.split(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("superpixel", {"backbone"}),
        ("segmentation", {"neck", "decode_head"}),
        ("joint", {"backbone", "neck", "decode_head"}),
    ],
)
def test_a_stage_trains_its_part(stage: Any, parts: set[str]) -> None:
    """Table 2: pre-training touches SPNN alone, the frozen stage all but SPNN."""
    model = build()
    model.stage = stage
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    assert touched(model) == parts
    if stage == "segmentation":  # running statistics of the frozen part stand still, too
        after = model.backbone.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_detached_superpixels_keep_the_heads_loss_out() -> None:
    """With detach_superpixels only the superpixel losses reach the backbone."""
    losses = dict(mutual_information=dict(type="MutualInformationLoss"))
    assert "backbone" in touched(build(losses=losses))
    assert "backbone" not in touched(build(losses=losses, detach_superpixels=True))


@pytest.mark.parametrize(
    ("changes", "width"),
    [
        (dict(neck=None), BANDS + 2 + BANDS + 16),
        (dict(neck=None, backbone=None), BANDS),
    ],
)
def test_parts_can_be_left_out(changes: dict[str, Any], width: int) -> None:
    """Table 3: without graph the pooled nodes pass, without superpixels the image alone."""
    head = dict(
        type="ACHead", in_channels=width, num_classes=3, base_channels=4, multipliers=(1, 1)
    )
    losses = dict(mutual_information=dict(type="MutualInformationLoss"))
    model = build(decode_head=head, losses=losses, **changes)
    assert "decode_head" in touched(model)
    assert model.infer(images()).probability.shape == (2, 3, 12, 10)


def test_labels_do_not_reach_the_loss() -> None:
    """mode='loss' gives the same terms with any labels or none."""
    first = build()(images(), gt=torch.zeros(2, 12, 10, dtype=torch.long), mode="loss")
    second = build()(images(), mode="loss")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_diagnostics_are_no_losses() -> None:
    """Only terms are summed by mmengine, which looks for 'loss' in a name."""
    terms = build().loss(images())
    named = {name for name in terms if "loss" in name}
    assert named == {f"loss_{name}" for name in build().losses}
    for name in ("live_superpixels", "max_assignment", "centroid_spread", "mutual_information"):
        assert name in terms


def test_orders_differ_are_equal_on_ranks_and_survive_a_restart() -> None:
    """Two different orders a step, a function of (seed, step), saved with the weights."""
    draws, other = StepDraws(3), StepDraws(3)
    seen = [draws.next_step()[1] for _ in range(60)]
    assert seen == [other.next_step()[1] for _ in range(60)]
    assert all(a != b for a, b in seen)
    assert {order for pair in seen for order in pair} == set(range(1, 9))
    resumed = StepDraws(0)
    resumed.load_state_dict(draws.state_dict())
    (generator, orders), (resumed_generator, resumed_orders) = (
        draws.next_step(),
        resumed.next_step(),
    )
    assert resumed_orders == orders
    assert torch.equal(
        torch.rand(3, generator=resumed_generator), torch.rand(3, generator=generator)
    )


def test_rolled_coordinates_hide_the_place() -> None:
    """In training the two readings see other coordinates, drawn from the step; never in use."""
    backbone = dict(type="SPNN", num_superpixels=6, base_channels=2, with_coords=True)
    model = build(
        backbone=backbone,
        views=dict(type="PhotometricViews", contrast=0, brightness=0, band_gain=0),
        roll_coordinates=True,
    )
    model.train()
    seen = model.read_twice(images()).superpixels
    model.draws.step = 0
    again = model.read_twice(images()).superpixels
    assert seen is not None
    assert again is not None
    assert torch.equal(seen.assignment, again.assignment)  # the same step draws the same
    first, second = seen.assignment.chunk(2)
    assert (first - second).abs().max() > 1e-3
    model.eval()
    plain = model.describe(images()).superpixels
    assert plain is not None
    assert torch.equal(plain.assignment, model.backbone(images()).assignment)


def test_rolled_coordinates_need_coordinates() -> None:
    """A backbone without coordinates has nothing to roll."""
    with pytest.raises(ValueError, match="with_coords"):
        build(roll_coordinates=True)


def test_views_align() -> None:
    """What is rolled away is rolled back: without jitter both views align to the image."""
    views = PhotometricViews(contrast=0, brightness=0, band_gain=0, roll=True)
    pair = views(images(), torch.Generator().manual_seed(5))
    assert pair.shifts[0] != pair.shifts[1]
    for number in (0, 1):
        assert not torch.equal(pair.images[number], images())
        assert torch.equal(pair.align(number, pair.images[number]), images())


def test_views_differ_in_light_only() -> None:
    """Without rolling the views are the image times a gain plus a smooth offset."""
    views = PhotometricViews(contrast=0.5, brightness=0, band_gain=0)
    first, second = views(images(), torch.Generator().manual_seed(5)).images
    assert not torch.allclose(first, second)
    gain = first / images()
    assert (gain > 0).all()
    torch.testing.assert_close(gain[:, 0], gain[:, 1], rtol=1e-4, atol=1e-4)


def test_one_jittered_image_for_both_orders() -> None:
    """Shared, both readings see one jittered image and its superpixels; else each sees its own."""
    readings = {}
    for shared in (True, False):
        views = dict(type="PhotometricViews", roll=True, shared=shared)
        model = build(views=views, predict_orders=(1,)).train()
        seen = []
        model.backbone.register_forward_pre_hook(lambda _, given, to=seen: to.append(given[0]))
        state = model.read_twice(images())
        readings[shared] = state
        own, other = state.view_images
        assert torch.equal(own, other) == shared
        assert len(seen) == 1 and len(seen[0]) == len(images()) * (1 if shared else 2)
        assert torch.equal(seen[0][: len(own)], own) and not torch.allclose(own, images())
    state = readings[True]
    drawn = PhotometricViews(roll=True, shared=True)(images(), StepDraws(0).next_step()[0])
    assert torch.equal(drawn.images[0], state.view_images[0])
    assert drawn.images[0] is drawn.images[1] and drawn.shifts[0] == drawn.shifts[1]
    unlit = PhotometricViews(contrast=0, brightness=0, band_gain=0, roll=True, shared=True)
    pair = unlit(images(), torch.Generator().manual_seed(5))
    assert all(torch.equal(pair.align(n, pair.images[n]), images()) for n in (0, 1))


def test_two_views_run_the_whole_model() -> None:
    """With views each reading has its own superpixels: the record holds 2B images."""
    model = build(views=dict(type="PhotometricViews"), fusion=dict(type="GatedFusion"))
    assert touched(model) == {"backbone", "neck", "decode_head", "fusion"}


@pytest.mark.parametrize("size", [(2, 2), (7, 9), (64, 3)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    """Any size that can be halved once trains and predicts at its own size."""
    model = build()
    terms = model.loss(images(2, *size))
    assert all(value.isfinite() for value in terms.values())
    records = model.predict(images(2, *size))
    assert records[0]["pred"].shape == size


def test_orders_at_inference_are_averaged() -> None:
    """predict_orders averages the probabilities of the named orders."""
    model = build(predict_orders=(1, 6)).eval()
    x = model.head_input(model.describe(images()))
    expected = sum(model.decode_head(x, order).probability for order in (1, 6)) / 2
    torch.testing.assert_close(model.infer(images()).probability, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(backbone=None), "needs a backbone"),
        (dict(predict_orders=()), "predict_orders is empty"),
    ],
)
def test_impossible_models_are_refused(changes: dict[str, Any], message: str) -> None:
    """A model that cannot work says so when it is built."""
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_node_features_are_kept_out_and_let_in() -> None:
    """Stage head trains the head alone and predicts without nodes, from a checkpoint too."""
    model = build(fusion=dict(type="GatedFusion", init=0.1), losses=HEAD_LOSSES)
    before = model.head_input(model.describe(images()))
    model.stage = "head"
    assert touched(model) == {"decode_head"}
    shut = model.head_input(model.describe(images()))
    assert shut.shape == before.shape and not shut[:, BANDS:].any()
    assert torch.equal(shut[:, :BANDS], images())
    other = build(fusion=dict(type="GatedFusion"), losses=HEAD_LOSSES)
    other.load_state_dict(model.state_dict())
    torch.nn.init.normal_(other.backbone.classifier.weight)  # nobody looks at it
    with torch.no_grad():
        assert torch.equal(other.eval().probability(images()), model.eval().probability(images()))
        model.stage = "segmentation"
        assert torch.equal(model.train().head_input(model.describe(images())), before)


def test_a_head_by_itself_needs_a_gate() -> None:
    """Concatenated node features cannot be kept out."""
    with pytest.raises(ValueError, match="GatedFusion"):
        build().stage = "head"
    with pytest.raises(ValueError, match="stage 'head'"):
        model = build(fusion=dict(type="GatedFusion"))
        model.stage = "head"
        model.loss(images())  # with the total variation of nodes that there are none of


def test_unknown_stage_is_refused() -> None:
    """A misspelt stage does not train something else."""
    with pytest.raises(ValueError, match="choose one of"):
        build().stage = "warmup"
