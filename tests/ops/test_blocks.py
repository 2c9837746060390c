"""Blocks cover a map, and what is computed block by block is what the whole gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops import blocks, soft_image
from sgseg.ops.image import smoothness, total_variation
from sgseg.ops.information import clustering_objective, joint_counts
from tests.reference import losses as reference

B, N, H, W = 3, 7, 4, 5
PLANE = H * W * 8  # bytes in float64


def draw(channels: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, channels, H, W, generator=g, dtype=torch.float64)


def assignment() -> Tensor:
    return (2 * draw(N)).softmax(1)


IMAGE = draw(3, seed=1)
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "clustering": (clustering_objective, reference.clustering),
    "smoothness": (lambda P: smoothness(P, IMAGE.to(P)), lambda P: reference.smoothness(P, IMAGE)),
    "variation": (
        total_variation,
        # Without edges in the image the weight of every change is one.
        lambda P: reference.smoothness(P, torch.zeros_like(IMAGE)),
    ),
    "soft_image": (
        lambda P: soft_image(P, IMAGE.to(P)).square().sum(),
        lambda P: reference.soft_image(P, IMAGE).square().sum(),
    ),
}
# A part of a channel, some channels, one image, two images, everything.
BUDGETS = [1, 2 * PLANE, N * PLANE, 2 * N * PLANE, 2**21]
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": Tensor.contiguous,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "sliced": lambda x: torch.stack([x, x], 4)[..., 0],
}


@pytest.fixture(params=BUDGETS)
def budget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_CPU", request.param)


@pytest.mark.usefixtures("budget")
def test_blocks_cover_every_entry_once() -> None:
    """Whatever the budget, each entry belongs to exactly one block."""
    x = torch.zeros(B, N, H, W, dtype=torch.float64)
    for images, channels in blocks.blocks(x):
        x[images, channels] += 1
    assert x.eq(1).all()


def test_a_block_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are as large as the budget allows, and no larger."""
    monkeypatch.setattr(blocks, "_CPU", 3 * PLANE)
    x = assignment()
    sizes = {x[some].numel() * 8 for some in blocks.blocks(x)}
    assert max(sizes) == 3 * PLANE


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient_equal_the_plain_equation(name: str, layout: str) -> None:
    """Blocks and memory layouts change neither a loss nor its gradient by the logits."""
    ours, plain = FUNCTIONS[name]
    logits = (2 * draw(N)).requires_grad_()
    found, expected = ours(LAYOUTS[layout](logits.softmax(1))), plain(logits.softmax(1))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # the floors differ by 1e-8
    slopes = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_every_layout(name: str, layout: str) -> None:
    """Gradients agree with finite differences for P as it lies in memory."""
    P = LAYOUTS[layout](assignment()[:, :3]).requires_grad_()
    assert gradcheck(FUNCTIONS[name][0], (P,))


ALL = {name: ours for name, (ours, _) in FUNCTIONS.items()} | {
    "joint": lambda P: joint_counts(P, P.flip(3), 1).square().sum()
}


@pytest.mark.parametrize("name", ALL)
def test_a_second_derivative_is_refused(name: str) -> None:
    """Differentiating twice ends with an error instead of a wrong number."""
    P = assignment().requires_grad_()
    with pytest.raises(RuntimeError, match="without create_graph"):
        torch.autograd.grad(ALL[name](P), P, create_graph=True)


@pytest.mark.parametrize("name", ALL)
def test_function_transforms_are_refused(name: str) -> None:
    """torch.func ends with an error instead of a wrong number."""
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(ALL[name])(assignment())


@pytest.mark.parametrize("name", ALL)
def test_backward_under_autocast_is_full_precision(name: str) -> None:
    """A backward pass inside autocast gives the gradient of one outside, bit for bit."""
    P = assignment().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(ALL[name](P), P)[0]
    assert torch.equal(inside, torch.autograd.grad(ALL[name](P), P)[0])
