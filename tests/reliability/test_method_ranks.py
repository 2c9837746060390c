"""Losses of the compared methods over several processes: those of the whole batch on one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sgseg.registry import MODELS
from tests.reliability.ranks import on_ranks

COMMON: dict[str, Any] = dict(
    data_preprocessor=dict(type="ImagePreprocessor", standardise="none"),
    backbone=dict(type="Net10a", base_channels=2, sobel=False, pad_like_iic=False),
    decode_head=dict(type="ClusterHead", num_classes=3, pad_like_iic=False),
    views=dict(type="PhotometricViews", contrast=0.0, brightness=0.0, band_gain=0.0),
)
REGION_LOSS = dict(adversarial=0.0, consistency=0.0)  # the two others are means over pixels
INFORMATION = dict(type="MutualInformationLoss", half_window=2, symmetric=True)
METHODS: dict[str, dict[str, Any]] = dict(
    InMARS=COMMON | dict(type="InMARS") | REGION_LOSS,
    InfoSeg=COMMON
    | dict(
        type="InfoSeg",
        balance=1.0,
        decode_head=dict(type="InfoSegHead", num_classes=3, channels=4),
    ),
    IIC=COMMON
    | dict(
        type="IIC",
        losses=dict(decode_head=INFORMATION, auxiliary_head=INFORMATION),
    ),
    told=COMMON
    | dict(
        type="IIC",
        losses=dict(
            decode_head=INFORMATION | dict(shares=[0.6, 0.3, 0.1]), auxiliary_head=INFORMATION
        ),
    ),
    ContextPrediction={key: COMMON[key] for key in ("data_preprocessor", "backbone")}
    | dict(
        type="ContextPrediction",
        context_head=dict(type="PatchPairHead", dropout=0.0),
        task=dict(type="RelativePosition", side=5, shared_location=True),
        decode_head=dict(type="CentroidHead", num_classes=3),
    ),
)
SIDE = 24


class LossOnly(nn.Module):
    """What DDP wraps: the sum of the losses."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: dict[str, Tensor]) -> Tensor:
        """Sum of the loss terms."""
        terms = self.model(**data, mode="loss")
        return sum(v for k, v in terms.items() if "loss" in k)  # type: ignore[return-value]


def whole_batch(method: str) -> dict[str, Tensor]:
    """Four images; the first two have other masks and other numbers of regions than the rest."""
    generator = torch.Generator().manual_seed(1)
    data = dict(inputs=torch.rand(4, 3, SIDE, SIDE, generator=generator, dtype=torch.float64))
    if method == "InMARS":
        coarse = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE) // 99
        data["regions"] = torch.cat([coarse, coarse, coarse // 3, coarse // 5])
    if method in ("IIC", "ContextPrediction"):
        data["mask"] = torch.ones(4, SIDE, SIDE, dtype=torch.bool)
        data["mask"][1] = False
    return data


def step(rank: int, method: str, world: int) -> list[Any]:
    """Loss and gradients of one step on this rank's share of four images."""
    # Draws differ between ranks on purpose; here all are to see what one process sees.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgseg.models.layers.draws.get_rank", lambda: 0)
        torch.manual_seed(0)
        model = MODELS.build(METHODS[method]).double().eval()
        for weight in model.parameters():
            weight.data.mul_(2.0)  # as built, all answers are so alike that any mean would do
        data = {key: value.chunk(world)[rank] for key, value in whole_batch(method).items()}
        wrapped: Any = LossOnly(model)
        if world > 1:
            wrapped = DistributedDataParallel(wrapped, find_unused_parameters=True)
        loss = wrapped(data)
    loss.backward()
    named = model.named_parameters()
    return [loss.detach(), {n: p.grad.clone() for n, p in named if p.grad is not None}]


def every_step(rank: int, world: int) -> dict[str, list[Any]]:
    """A step of every method."""
    return {method: step(rank, method, world) for method in METHODS}


@pytest.fixture(
    scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)], ids="{} ranks".format
)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each process found."""
    world = request.param
    return on_ranks(world, tmp_path_factory.mktemp("ranks"), every_step, world)


@pytest.mark.parametrize("method", METHODS)
def test_ranks_are_one(ranks: list[Any], method: str) -> None:
    """Mean loss and gradients of all weights; with four ranks, each has one image."""
    loss, grads = step(0, method, 1)
    shares = [found[method] for found in ranks]
    torch.testing.assert_close(torch.stack([found[0] for found in shares]).mean(), loss)
    for _, other in shares:
        assert grads.keys() <= other.keys()
        torch.testing.assert_close({name: other[name] for name in grads}, grads)
