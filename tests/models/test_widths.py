"""Widths that follow from the bands and from the parts before need not be stated."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sgseg.models import IIC, ACHead, ContextPrediction, InfoSeg, InMARS, PixelKMeans, SGSeg
from sgseg.registry import MODELS
from sgseg.structures import Superpixels

SPNN = dict(type="SPNN", num_superpixels=5, base_channels=2)
HEAD = dict(type="ACHead", num_classes=3, base_channels=4, multipliers=(1, 1))
NECK = dict(type="GraphNeck", channels=4, num_blocks=1, knn=3)
TRUNK = dict(type="Net10a", base_channels=2)
MI = dict(type="MutualInformationLoss")


def bands(count: int) -> dict[str, Any]:
    return dict(type="ImagePreprocessor", bands=count)


class Tiles(torch.nn.Module):
    """A backbone of one's own, which has no in_channels and says no width."""

    def forward(self, image: torch.Tensor) -> Superpixels:
        """Two halves of the image."""
        left = torch.zeros_like(image[:, :1])
        left[..., : image.shape[3] // 2] = 1
        return Superpixels(torch.cat([left, 1 - left], 1), image[:, :1], image)


@pytest.mark.parametrize(
    ("parts", "node_width", "head_width"),
    [
        (dict(backbone=SPNN, neck=NECK), 2 + 4 + 16, 4 + 4),
        (dict(backbone=SPNN), None, 4 + 2 + 4 + 16),
        (dict(backbone=dict(type="FixedSuperpixels", method="grid"), neck=NECK), 2 + 4 + 12, 8),
        (dict(), None, 4),
    ],
)
def test_widths_of_sgseg(parts: dict[str, Any], node_width: int | None, head_width: int) -> None:
    """Bands reach backbone, nodes, head and reconstruction, and each part follows the last."""
    model = SGSeg(HEAD, **parts, losses=dict(mi=MI), data_preprocessor=bands(4))
    if node_width is not None:
        assert model.neck.in_channels == node_width
    assert model.decode_head.in_channels == head_width
    assert model.decode_head(torch.rand(1, head_width, 6, 6)).reconstruction.shape[1] == 4
    assert all(value.isfinite() for value in model.loss(torch.rand(2, 4, 12, 10)).values())


@pytest.mark.parametrize(
    "model",
    [
        lambda **rest: IIC(
            TRUNK,
            dict(type="ClusterHead", num_classes=2),
            dict(auxiliary_head=MI, decode_head=MI),
            dict(type="PhotometricViews"),
            **rest,
        ),
        lambda **rest: InfoSeg(
            TRUNK,
            dict(type="InfoSegHead", num_classes=2, channels=4),
            dict(type="PhotometricViews"),
            **rest,
        ),
        lambda **rest: InMARS(
            TRUNK, dict(type="ClusterHead", num_classes=2), dict(type="PhotometricViews"), **rest
        ),
        lambda **rest: ContextPrediction(
            TRUNK,
            dict(type="PatchPairHead"),
            dict(type="CoOccurrence", side=3),
            dict(type="CentroidHead", num_classes=2),
            **rest,
        ),
        lambda **rest: PixelKMeans(dict(type="CentroidHead", num_classes=2), **rest),
    ],
)
@pytest.mark.parametrize("count", [3, 5])
def test_widths_of_the_other_methods(model: Any, count: int) -> None:
    """Every method runs on any number of bands; gradients of grey are beside three of them."""
    built = model(data_preprocessor=bands(count))
    if built.backbone is not None:
        assert built.backbone.layers[0][0].in_channels == (5 if count == 3 else count)
    assert built.infer(torch.rand(2, count, 24, 24)).probability.shape == (2, 2, 24, 24)


@pytest.mark.parametrize(
    ("parts", "argument"),
    [
        (dict(decode_head=HEAD, backbone=SPNN | dict(in_channels=4)), "backbone.in_channels = 4"),
        (
            dict(decode_head=HEAD, backbone=SPNN, neck=NECK | dict(in_channels=9)),
            "neck.in_channels = 9, .* give 21",
        ),
        (dict(decode_head=HEAD | dict(in_channels=7)), "decode_head.in_channels = 7, .* give 3"),
        (dict(decode_head=HEAD | dict(image_channels=4)), "decode_head.image_channels = 4"),
        (dict(decode_head=HEAD, backbone=dict(type=Tiles)), "has no attribute out_channels"),
    ],
)
def test_a_width_that_does_not_follow_is_refused(parts: dict[str, Any], argument: str) -> None:
    """A stated width has to agree, and one that nobody knows has to be stated."""
    with pytest.raises(ValueError, match=argument):
        SGSeg(**parts)


def test_what_is_stated_counts_where_nothing_follows() -> None:
    """A backbone without out_channels works under stated widths; 0 leaves the image out."""
    head = HEAD | dict(in_channels=3 + 2 + 3 + 1, image_channels=0)
    model = SGSeg(head, dict(type=Tiles))
    assert model.decode_head(torch.rand(1, 9, 4, 4)).reconstruction.shape[1] == 0
    assert model.infer(torch.rand(1, 3, 6, 6)).probability.shape == (1, 3, 6, 6)


def test_a_loss_is_left_out_by_none() -> None:
    """A variant leaves out a term of the recipe that it inherits from."""
    model = SGSeg(HEAD, losses=dict(mi=MI, clustering=None))
    assert list(model.losses) == ["mi"]
    assert "loss_mi" in model.loss(torch.rand(1, 3, 8, 8))


def test_an_unknown_part_is_refused_by_name() -> None:
    """The registry's own message names a misspelt class."""
    assert MODELS.get("ACHed") is None
    with pytest.raises(KeyError, match="ACHed"):
        SGSeg(HEAD | dict(type="ACHed"))


def test_a_class_that_hands_its_arguments_on_gets_them() -> None:
    """A head of one's own with ``**kwargs`` takes the widths of the class it is made from."""

    class OwnHead(ACHead):
        def __init__(self, extra: int = 1, **given: Any) -> None:
            super().__init__(**given)

    parts = dict(backbone=SPNN, neck=NECK, data_preprocessor=bands(4))
    head = {**HEAD, "type": OwnHead}
    model = SGSeg(decode_head=head, **parts)
    assert model.infer(torch.rand(2, 4, 16, 16)).probability.shape == (2, 3, 16, 16)
    with pytest.raises(ValueError, match="in_channels = 5, but the parts before it give 8"):
        SGSeg(decode_head=dict(head, in_channels=5), **parts)


def test_a_method_without_its_backbone_is_refused() -> None:
    """When it is built, not at the first step."""
    with pytest.raises(ValueError, match="backbone = None, but this method reads"):
        InMARS(
            backbone=None,
            decode_head=dict(type="ClusterHead", num_classes=2),
            views=dict(type="PhotometricViews"),
        )
