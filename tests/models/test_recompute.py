"""Recomputed activations: the same step, with less memory and hardly more arithmetic."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.step import memory
from sgseg.cost.measure import flops, saved_bytes
from sgseg.models import SPNN, ACHead, SGSeg
from sgseg.training import build_config
from tests.conftest import ROOT


def backbone(checkpoint: bool, **options: Any) -> SPNN:
    torch.manual_seed(0)
    return SPNN(3, 6, base_channels=8, checkpoint=checkpoint, **options)


def head(checkpoint: bool) -> ACHead:
    torch.manual_seed(0)
    return ACHead(7, 5, base_channels=8, checkpoint=checkpoint)


def model(checkpoint: bool) -> SGSeg:
    torch.manual_seed(0)
    return SGSeg(
        backbone=dict(
            type="SPNN", num_superpixels=6, base_channels=2, checkpoint=checkpoint, in_channels=3
        ),
        neck=dict(type="GraphNeck", in_channels=2 + 3 + 16, channels=4, num_blocks=2, knn=3),
        decode_head=dict(
            type="ACHead", in_channels=7, num_classes=3, base_channels=4, checkpoint=checkpoint
        ),
        losses=dict(
            clustering=dict(type="ClusteringLoss"),
            mutual_information=dict(type="MutualInformationLoss"),
        ),
    )


def given(channels: int = 3, side: int = 16) -> Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


def learn(part: nn.Module, *inputs: Any) -> None:
    torch.autograd.backward([out.square().sum() for out in part(*inputs)])


CASES = [(backbone, given(), ()), (head, given(7), (2,))]
cases = pytest.mark.parametrize("build, x, more", CASES, ids=["SPNN", "ACHead"])


def state(part: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics with a number in them, and every gradient."""
    grads = {f"grad of {name}": p.grad for name, p in part.named_parameters()}
    return dict(part.state_dict()) | grads


@cases
@pytest.mark.parametrize("training", [True, False])
def test_a_step_is_the_plain_step(build: Any, x: Tensor, more: tuple, training: bool) -> None:
    """Outputs, gradients, running statistics and their count are equal, two steps long."""
    plain, ours = build(False).train(training), build(True).train(training)
    for _ in range(2):
        for part in (plain, ours):
            learn(part, x, *more)
    torch.testing.assert_close(state(ours), state(plain), rtol=0, atol=1e-6)
    for found, expected in zip(ours(x, *more), plain(x, *more), strict=True):
        assert torch.equal(found, expected)


@cases
def test_less_is_kept(build: Any, x: Tensor, more: tuple) -> None:
    """At most 60 % of the activations wait for the backward pass."""
    weights = sum(4 * p.numel() for p in build(False).parameters())
    kept = [saved_bytes(partial(build(c), x, *more))[0] - weights for c in (True, False)]
    assert kept[0] < 0.6 * kept[1]


def test_no_dense_convolution_of_the_backbone_runs_twice() -> None:
    """What is computed again is the depthwise part alone."""
    x = given()
    plain, ours = (flops(partial(learn, backbone(c), x)) for c in (False, True))
    depthwise = 2 * 24 * 8 * 9 * x[:, 0].numel()
    assert ours - plain == depthwise


def test_a_second_backward_pass_counts_nothing_either() -> None:
    """retain_graph recomputes again; the statistics stay those of one step."""
    plain, ours = backbone(False), backbone(True)
    for part in (plain, ours):
        loss = part(given()).assignment.square().sum()
        loss.backward(retain_graph=True)
        loss.backward()
    torch.testing.assert_close(state(ours), state(plain), rtol=0, atol=1e-6)


def test_under_autocast() -> None:
    """The recomputation runs in bfloat16 too: gradients equal the plain ones bit for bit."""
    grads = []
    for part in (backbone(False), backbone(True)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = part(given())
        (found.assignment.square().sum() + found.feature.float().square().mean()).backward()
        grads.append([p.grad for p in part.parameters()])
    torch.testing.assert_close(grads[1][:-2], grads[0][:-2], rtol=0, atol=0)


@pytest.mark.parametrize("stage", ["superpixel", "segmentation", "joint"])
def test_every_stage_of_the_model(stage: Any) -> None:
    """The whole model's losses and gradients, the backbone frozen or alone as well."""
    found = []
    for checkpoint in (False, True):
        part = model(checkpoint)
        part.stage = stage
        total, terms = part.parse_losses(part.loss(given()))
        total.backward()
        found.append((terms, [p.grad for p in part.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_inside_distributed_training(tmp_path: Any) -> None:
    """DDP that looks for unused parameters, as the configs set it, takes the same step."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(model(True), find_unused_parameters=True)
        plain = model(False)
        for part in (wrapped, plain):
            terms = part(given(), mode="loss")
            sum(value for name, value in terms.items() if "loss" in name).backward()
    finally:
        torch.distributed.destroy_process_group()
    for ours, expected in zip(wrapped.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_memory_of_the_paper_step() -> None:
    """Batch 64, 128 x 128, N = 200 in bfloat16 fits the paper's card of 24 GB."""
    config = build_config(ROOT / "configs/sgseg/sgseg_diffgcn_coco15.py", amp=True)
    found = memory(config, 64, 128)
    assert found["total"] < 24
