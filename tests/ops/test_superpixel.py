"""Pooling to nodes and painting back: properties, edge cases, gradients, precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops import coordinates, hard_image, pool, project, soft_image

B, N, C, H, W = 2, 4, 3, 3, 5
KINDS = ["random", "one_hot", "uniform"]


def assignment(kind: str = "random", seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    if kind == "uniform":
        return torch.full((B, N, H, W), 1 / N, dtype=torch.float64)
    if kind == "one_hot":
        owner = torch.arange(H * W).view(1, 1, H, W).expand(B, 1, H, W) % N
        return torch.zeros(B, N, H, W, dtype=torch.float64).scatter_(1, owner, 1.0)
    return (2 * torch.randn(B, N, H, W, generator=g, dtype=torch.float64)).softmax(1)


def features(channels: int = C, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, channels, H, W, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_image_comes_back(kind: str) -> None:
    """Pooling and painting back neither brightens nor darkens a constant image."""
    image = torch.tensor([0.25, -1.0, 3.0]).double().view(1, C, 1, 1).expand(B, C, H, W)
    torch.testing.assert_close(soft_image(assignment(kind), image), image.contiguous())


@pytest.mark.parametrize("kind", KINDS)
def test_numbering_of_superpixels_does_not_matter(kind: str) -> None:
    """Permuting the superpixels permutes the nodes and leaves the painted image as it was."""
    P, x, order = assignment(kind), features(), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(pool(P[:, order], x), pool(P, x)[:, order])
    torch.testing.assert_close(soft_image(P[:, order], x), soft_image(P, x))


def test_images_of_a_batch_do_not_mix() -> None:
    """Each image is pooled with its own superpixels only."""
    P, x = assignment(), features()
    alone = torch.cat([pool(P[b : b + 1], x[b : b + 1]) for b in range(B)])
    torch.testing.assert_close(pool(P, x), alone)


def test_one_superpixel_is_the_image_mean() -> None:
    """With a single superpixel the node is the plain mean of the image."""
    x = features()
    nodes = pool(torch.ones(B, 1, H, W).double(), x)
    torch.testing.assert_close(nodes[:, 0], x.mean((2, 3)))


def test_one_hot_soft_image_is_the_hard_image() -> None:
    """For a hard assignment Eq 1 and Eq 2 agree."""
    P, x = assignment("one_hot"), features()
    torch.testing.assert_close(soft_image(P, x), hard_image(P, x))


def test_hard_image_keeps_one_colour_in_each_superpixel() -> None:
    """All pixels with the same strongest superpixel get one colour."""
    P, x = assignment(), features()
    owner, image = P.argmax(1), hard_image(P, x)
    for b in range(B):
        for s in owner[b].unique():
            colours = image[b][:, owner[b] == s]  # (C, pixels)
            torch.testing.assert_close(colours, colours[:, :1].expand_as(colours))


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (5, 3)])
def test_coordinates_are_pixel_centres(size: tuple[int, int]) -> None:
    """x grows with the column, y with the row; both are centred and stay inside [-1, 1]."""
    height, width = size
    x, y = coordinates(height, width, dtype=torch.float64)
    assert x.shape == y.shape == size
    for j in range(width):
        torch.testing.assert_close(x[:, j], torch.full((height,), (2 * j + 1) / width - 1).double())
    for i in range(height):
        torch.testing.assert_close(y[i], torch.full((width,), (2 * i + 1) / height - 1).double())
    assert abs(x.mean()) < 1e-12 and abs(y.mean()) < 1e-12


def test_hard_superpixel_node_is_its_centroid() -> None:
    """Pooled coordinates of a hard superpixel are its centre of mass."""
    P = torch.zeros(1, 2, 2, 2)
    P[0, 0, :, 0] = P[0, 1, :, 1] = 1  # left and right half
    nodes = pool(P, coordinates(2, 2)[None])
    torch.testing.assert_close(nodes, torch.tensor([[[-0.5, 0.0], [0.5, 0.0]]]))


@pytest.mark.parametrize("function", [soft_image, hard_image])
def test_empty_superpixel_is_finite(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """A superpixel without mass breaks neither the image nor the gradients."""
    P = torch.zeros(B, N, H, W)
    P[:, 0] = 1
    P, x = P.requires_grad_(), features().float().requires_grad_()
    image = function(P, x)
    image.square().sum().backward()
    assert image.isfinite().all() and x.grad is not None and x.grad.isfinite().all()
    assert P.grad is None or P.grad.isfinite().all()


def test_empty_superpixel_gives_a_zero_node() -> None:
    """A superpixel without mass is a zero node that does not pull on the features."""
    P, x = torch.zeros(B, N, H, W), features().float().requires_grad_()
    nodes = pool(P, x)
    nodes.sum().backward()
    assert (nodes == 0).all() and x.grad is not None and (x.grad == 0).all()


def test_underflowed_softmax_has_finite_gradients() -> None:
    """Superpixels whose softmax underflows to zero leave the logits' gradients finite."""
    logits = torch.zeros(B, N, H, W)
    logits[:, 0] = 200
    logits.requires_grad_()
    soft_image(logits.softmax(1), features().float()).square().sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", [pool, soft_image])
def test_gradients(function: Callable[[Tensor, Tensor], Tensor], kind: str) -> None:
    """Gradients by P and by the features are right, at hard and at diffuse assignments too."""
    P, x = assignment(kind).requires_grad_(), features(2).requires_grad_()
    assert gradcheck(function, (P[:1, :, :2, :], x[:1, :, :2, :]))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_project(kind: str) -> None:
    """Gradients of painting by P and by the nodes are right."""
    nodes = torch.randn(1, N, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    P = assignment(kind)[:1, :, :2].clone().requires_grad_()
    assert gradcheck(project, (P, nodes.requires_grad_()))


def test_gradients_of_hard_image() -> None:
    """The hard image is differentiable in the image."""
    P, x = assignment()[:1], features(2)[:1].requires_grad_()
    assert gradcheck(lambda image: hard_image(P, image), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("function", [pool, soft_image, hard_image])
def test_half_precision_is_widened(
    function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype
) -> None:
    """Under autocast the sums over pixels run in float32 and agree with it."""
    P, x = assignment().to(dtype), features().to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(P, x)
    assert found.dtype == torch.float32 and found.isfinite().all()
    torch.testing.assert_close(found, function(P.float(), x.float()))


def test_project_is_widened() -> None:
    """Painting nodes under autocast runs in float32."""
    P = assignment().bfloat16()
    nodes = torch.randn(B, N, C, generator=torch.Generator().manual_seed(2)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = project(P, nodes)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, project(P.float(), nodes.float()))


def test_float64_stays() -> None:
    """Nothing is narrowed: float64 in, float64 out."""
    assert soft_image(assignment(), features()).dtype == torch.float64


@pytest.mark.parametrize("shape", [(1, C, H, W), (B, C, H + 1, W), (B, C, H, W - 1), (B, C, H * W)])
def test_pool_names_the_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    """Unequal batch or image sizes are refused with both shapes in the message."""
    with pytest.raises(ValueError, match=rf"pool: .*{H}, {W}.*{shape[-1]}\)"):
        pool(assignment(), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, N, C), (B, N + 1, C)])
def test_project_names_the_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    """Unequal batch sizes or superpixel counts are refused with both in the message."""
    with pytest.raises(ValueError, match=rf"project: .*\(2, 4\).*\({shape[0]}, {shape[1]}\)"):
        project(assignment(), torch.zeros(shape))
