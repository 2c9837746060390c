"""Fused forms give what the plain ones in the equations' files give, block by block."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops import soft_image
from sgseg.ops.fused import blocks, plain_forms
from sgseg.ops.image import changes, laplacian, smoothness, total_variation
from sgseg.ops.information import clustering_objective, joint_counts

B, N, H, W = 3, 7, 4, 5
PLANE = H * W * 8  # bytes in float64


def draw(channels: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, channels, H, W, generator=g, dtype=torch.float64)


def assignment() -> Tensor:
    return (2 * draw(N)).softmax(1)


IMAGE = draw(3, seed=1)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "clustering": clustering_objective,
    "smoothness": lambda P: smoothness(P, IMAGE.to(P)),
    "variation": total_variation,
    "laplacian": lambda P: laplacian(P).square().sum(),
    "changes": lambda P: changes(P).square().sum(),
    "soft_image": lambda P: soft_image(P, IMAGE.to(P)).square().sum(),
    "joint": lambda P: joint_counts(P, P.flip(3), 1).square().sum(),
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
def test_value_and_gradient_are_those_of_the_plain_form(name: str, layout: str) -> None:
    """Blocks and memory layouts change neither a value nor its gradient, in float64."""
    P = LAYOUTS[layout](assignment()).requires_grad_()
    fused = FUNCTIONS[name](P)
    with plain_forms():
        plain = FUNCTIONS[name](P)
    torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(value, P)[0] for value in (fused, plain)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(4, 5), (6, 6), (3, 9)])
@pytest.mark.parametrize("batch", [1, 8, 9, 17])
def test_joints_of_batches_of_any_size(batch: int, size: tuple[int, int]) -> None:
    """Working through the batch some images at a time loses none, in value and in gradient."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, batch, 3, *size, generator=g, dtype=torch.float64).requires_grad_()
    p, q = logits.softmax(2)
    fused = joint_counts(p, q, 2)
    with plain_forms():
        plain = joint_counts(p, q, 2)
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)
    weight = torch.randn(fused.shape, generator=g, dtype=torch.float64)
    slopes = [
        torch.autograd.grad((weight * joint).sum(), logits, retain_graph=True)[0]
        for joint in (fused, plain)
    ]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


def test_the_plain_forms_end_with_their_block() -> None:
    """Only inside can be differentiated twice, also where it ended with an error."""
    P = assignment().requires_grad_()
    with plain_forms():
        torch.autograd.grad(clustering_objective(P), P, create_graph=True)
    with pytest.raises(ValueError, match="pool"), plain_forms():
        soft_image(P, IMAGE[..., :-1])
    with pytest.raises(RuntimeError, match="without create_graph"):
        torch.autograd.grad(clustering_objective(P), P, create_graph=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_every_layout(name: str, layout: str) -> None:
    """Gradients agree with finite differences for P as it lies in memory."""
    P = LAYOUTS[layout](assignment()[:, :3]).requires_grad_()
    assert gradcheck(FUNCTIONS[name], (P,))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_second_derivative_is_refused(name: str) -> None:
    """Differentiating twice ends with an error instead of a wrong number."""
    P = assignment().requires_grad_()
    with pytest.raises(RuntimeError, match="without create_graph"):
        torch.autograd.grad(FUNCTIONS[name](P), P, create_graph=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_transforms_are_refused(name: str) -> None:
    """torch.func ends with an error instead of a wrong number."""
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(FUNCTIONS[name])(assignment())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_backward_under_autocast_is_full_precision(name: str) -> None:
    """A backward pass inside autocast gives the gradient of one outside, bit for bit."""
    P = assignment().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(FUNCTIONS[name](P), P)[0]
    assert torch.equal(inside, torch.autograd.grad(FUNCTIONS[name](P), P)[0])
