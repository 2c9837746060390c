"""IIC: two views brought together, two heads in turn, a mask, and learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sgseg.datasets import TextureMosaic
from sgseg.models import IIC, JitteredViews, SGSeg


def build(**changes: Any) -> IIC:
    torch.manual_seed(0)
    loss = dict(type="MutualInformationLoss", half_window=1, symmetric=True)
    config: dict[str, Any] = dict(
        data_preprocessor=dict(type="ImagePreprocessor", standardise="none"),
        backbone=dict(type="Net10a", base_channels=2, pad_like_iic=False),
        decode_head=dict(type="ClusterHead", num_classes=3, pad_like_iic=False),
        losses=dict(auxiliary_head=loss, decode_head=loss),
        views=dict(type="JitteredViews"),
    )
    return IIC(**(config | changes))


def images(count: int = 4, side: int = 24) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_views_are_the_image_and_a_mirrored_jitter() -> None:
    """View one is the image; view two, aligned, is close to it where only colours changed."""
    views = JitteredViews(brightness=0, contrast=0, saturation=0, hue=0, flip=0.5)
    pair = views(images(40), torch.Generator().manual_seed(0))
    assert torch.equal(pair.images[0], images(40))
    assert 5 < int(pair.mirrored.sum()) < 35
    assert not torch.equal(pair.images[1], images(40))
    assert torch.equal(pair.align(1, pair.images[1]), images(40))
    assert torch.equal(pair.align(0, pair.images[0]), images(40))


def test_the_jitter_stays_inside() -> None:
    """Colours change, stay in [0, 1], and are a function of the generator alone."""
    views = JitteredViews(flip=0)
    one, again = (views(images(), torch.Generator().manual_seed(3)).images[1] for _ in range(2))
    assert torch.equal(one, again) and not torch.equal(one, images())
    assert one.min() >= 0 and one.max() <= 1


@pytest.mark.parametrize("changes", [dict(hue=0.6), dict(flip=1.5), dict(brightness=-0.1)])
def test_impossible_jitters_are_refused(changes: dict[str, float]) -> None:
    """The message names the values."""
    with pytest.raises(ValueError, match="must lie in"):
        JitteredViews(**changes)


def test_heads_take_turns() -> None:
    """Each stage trains its head and the trunk, and leaves the other head alone."""
    for stage, other in (("auxiliary_head", "decode_head"), ("decode_head", "auxiliary_head")):
        model = build()
        model.stage = stage
        terms = model(images(), mode="loss")
        assert {name for name in terms if "loss" in name} == {f"loss_{stage}"}
        terms[f"loss_{stage}"].backward()
        assert getattr(model, stage).classifier.weight.grad.abs().sum() > 0
        assert model.backbone.layers[0][0].weight.grad.abs().sum() > 0
        assert getattr(model, other).classifier.weight.grad is None


def test_overclustering_follows_the_classes() -> None:
    """The auxiliary head has a multiple of the classes, whatever --num-classes says."""
    head = dict(type="ClusterHead", num_classes=5)
    model = build(decode_head=head, overclustering=8)
    assert model.auxiliary_head.classifier.out_channels == 40
    assert model.eval().infer(images()).probability.shape == (4, 5, 24, 24)


def test_masked_pixels_do_not_count() -> None:
    """What the head says outside the mask changes nothing; without a mask every pixel counts."""
    # No contrast: it looks at the whole image's mean.
    model = build(views=dict(type="JitteredViews", flip=0, contrast=0)).eval()
    mask = torch.zeros(4, 24, 24, dtype=torch.bool)
    mask[:, :, :4] = True
    changed = images()
    changed[:, :, :, 22:] = 0.5  # 18 pixels from the mask: beyond the field of view
    step = model.draws.step
    losses = []
    for image in (images(), changed):
        model.draws.step = step
        losses.append(model(image, mask=mask, mode="loss")["loss_decode_head"])
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-6)
    model.draws.step = step
    everything = model(images(), mask=torch.ones_like(mask), mode="loss")["loss_decode_head"]
    model.draws.step = step
    torch.testing.assert_close(model(images(), mode="loss")["loss_decode_head"], everything)
    assert not torch.allclose(losses[0], everything)


def test_flips_are_taken_back() -> None:
    """A trunk without jitter whose second view is always mirrored loses only what its own
    asymmetry costs; comparing without taking the mirror back would be much worse."""
    views = dict(type="JitteredViews", brightness=0, contrast=0, saturation=0, hue=0, flip=1.0)
    model = build(views=views).eval()
    weights = [p for p in model.backbone.parameters() if p.dim() == 4]
    for weight in weights:  # a trunk that does not tell left from right, the Sobel input apart
        weight.data = (weight + weight.flip(3)) / 2
    model.backbone.layers[0][0].weight.data[:, 3] = 0
    pair = model.views(images(), torch.Generator().manual_seed(0))
    first, second = (model.infer(image).probability for image in pair.images)
    torch.testing.assert_close(first, pair.align(1, second), rtol=0, atol=1e-5)


def test_other_models_take_no_mask() -> None:
    """A mask that a method would leave unused is an error, not a silent nothing."""
    head = dict(type="ACHead", in_channels=3, num_classes=2, base_channels=1)
    model = SGSeg(head, losses=dict(mi=dict(type="MutualInformationLoss")))
    with pytest.raises(ValueError, match=r"no use of \['mask'\]"):
        model(images(), mask=torch.ones(4, 24, 24, dtype=torch.bool), mode="loss")


def test_losses_are_named_by_their_heads() -> None:
    """A head without a loss would never train."""
    with pytest.raises(ValueError, match="auxiliary_head"):
        build(losses=dict(decode_head=dict(type="MutualInformationLoss")))


def test_unknown_stage_is_refused() -> None:
    """SGSeg's stages are not IIC's."""
    with pytest.raises(ValueError, match="choose one of"):
        build().stage = "joint"


def test_a_few_steps_learn() -> None:
    """On six mosaics both heads' losses fall well below their start, which is about zero."""
    mosaics = TextureMosaic(length=6, size=32)
    inputs = torch.stack([mosaics[i]["inputs"] for i in range(6)]).float() / 255
    model = build(backbone=dict(type="Net10a", base_channels=4, pad_like_iic=False))
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    found: dict[str, list[float]] = {"auxiliary_head": [], "decode_head": []}
    for step in range(24):
        model.stage = ("auxiliary_head", "decode_head")[step % 2]
        optimiser.zero_grad()
        loss = model(inputs, mode="loss")[f"loss_{model.stage}"]
        loss.backward()
        optimiser.step()
        found[model.stage].append(loss.item())
    for values in found.values():
        assert sum(values[-3:]) / 3 < values[0] - 0.05
