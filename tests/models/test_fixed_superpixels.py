"""Classical superpixels as a backbone: the record, its promises, and the model around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sgseg.labelmaps.connectivity import connected_pieces
from sgseg.models import SGSeg
from sgseg.models.backbones import FixedSuperpixels
from sgseg.ops.superpixel import hard_image
from sgseg.registry import MODELS

METHODS = ("slic", "fh", "grid")


def image(bands: int = 3, batch: int = 2, height: int = 24, width: int = 20) -> Tensor:
    """Standardised images of smooth patches, so that superpixels have something to follow."""
    noise = torch.randn(batch, bands, 4, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_record(method: Any, bands: int) -> None:
    """One-hot P over connected superpixels, 3C features, mean colours; images apart."""
    x = image(bands)
    found = FixedSuperpixels(bands, 9, method)(x)
    assert found.assignment.shape == (2, 9, 24, 20)
    assert found.feature.shape == (2, 3 * bands, 24, 20)
    assert set(found.assignment.unique().tolist()) == {0.0, 1.0}
    assert (found.assignment.sum(1) == 1).all()
    for owner in found.assignment.argmax(1).numpy():
        assert connected_pieces(owner).max() + 1 == len(np.unique(owner)) > 1
    torch.testing.assert_close(found.reconstruction, hard_image(found.assignment, x))
    alone = FixedSuperpixels(bands, 9, method)(x[1:])
    torch.testing.assert_close(found.assignment[1:], alone.assignment)


def test_more_segments_than_superpixels_are_joined() -> None:
    """An image of specks, which SLIC divides into far more pieces, still fits N."""
    specks = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    for method in METHODS:
        assert FixedSuperpixels(3, 5, method)(specks).assignment.shape == (1, 5, 40, 40)


def test_features_say_how_uneven() -> None:
    """Square and the two differences, written out; the last column and row have none."""
    x = image(2).double()
    feature = FixedSuperpixels(2, 4, "grid")(x).feature
    square, across, down = feature.split(2, 1)
    torch.testing.assert_close(square, x**2)
    torch.testing.assert_close(across[..., :-1], (x[..., 1:] - x[..., :-1]).abs())
    torch.testing.assert_close(down[..., :-1, :], (x[..., 1:, :] - x[..., :-1, :]).abs())
    assert (across[..., -1] == 0).all() and (down[..., -1, :] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_scale_and_flat_images(method: Any) -> None:
    """Brighter or higher in contrast as a whole is the same image; a flat one is no error."""
    model, x = FixedSuperpixels(3, 8, method), image(batch=1)
    torch.testing.assert_close(model(x).assignment, model(4 * x + 2).assignment)
    assert (model(torch.zeros(1, 3, 8, 8)).assignment.sum(1) == 1).all()


def build(**changes: Any) -> SGSeg:
    """A tiny model around it."""
    torch.manual_seed(0)
    config: dict[str, Any] = dict(
        backbone=dict(type="FixedSuperpixels", num_superpixels=6),
        neck=dict(type="GraphNeck", in_channels=2 + 3 + 9, channels=4, num_blocks=2, knn=3),
        decode_head=dict(
            type="ACHead", in_channels=3 + 4, num_classes=3, base_channels=4, multipliers=(1, 1)
        ),
        losses=dict(mutual_information=dict(type="MutualInformationLoss")),
    )
    return SGSeg(**(config | changes))


@pytest.mark.parametrize("stage", ["segmentation", "joint"])
def test_the_rest_of_the_model_trains(stage: Any) -> None:
    """Graph and head learn on them in both stages that there are."""
    model = build()
    model.stage = stage
    model.loss(image())["loss_mutual_information"].backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The paper's blocks leave some weights without a gradient in a step; none of a whole part.
    parts = {name.split(".")[0] for name, p in model.named_parameters() if name not in silent}
    assert parts == {"neck", "decode_head"}
    assert model.infer(image()).probability.shape == (2, 3, 24, 20)


def test_there_is_nothing_to_pretrain() -> None:
    """The superpixel stage says so instead of failing inside backward."""
    with pytest.raises(ValueError, match="FixedSuperpixels has nothing to learn.*segmentation"):
        build().stage = "superpixel"


def test_no_coordinates_to_roll() -> None:
    """roll_coordinates needs a backbone that sees them."""
    with pytest.raises(ValueError, match="roll_coordinates"):
        build(roll_coordinates=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_superpixels=1), "num_superpixels = 1"),
        (dict(method="watershed"), "method = 'watershed'"),
        (dict(in_channels=0), "in_channels = 0"),
    ],
)
def test_wrong_parameter_is_refused(options: dict[str, Any], message: str) -> None:
    """The message names the parameter and its value."""
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type="FixedSuperpixels") | options)


def test_wrong_image_is_refused() -> None:
    """The message shows the shape and says to set in_channels."""
    with pytest.raises(ValueError, match=r"expected images \(B, 3, H, W\).*set in_channels"):
        FixedSuperpixels()(torch.zeros(2, 4, 8, 8))
