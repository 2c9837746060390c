"""Smoothness, total variation and edges: known values, properties, gradients, precision."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.ops.image import (
    differences,
    edge_divergence,
    edge_map,
    smoothness,
    total_variation,
)


def noise(channels: int = 3, height: int = 4, width: int = 5, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, height, width, generator=g, dtype=torch.float64)


def step(height: int = 4, width: int = 6) -> Tensor:
    """Left half 0, right half 1."""
    image = torch.zeros(1, 1, height, width, dtype=torch.float64)
    image[..., width // 2 :] = 1
    return image


def test_differences_are_forward_and_inside() -> None:
    """Next minus current pixel, along x first; the last column and row have none."""
    along_x, along_y = differences(torch.tensor([[[[1.0, 4.0], [9.0, 16.0]]]]))
    assert along_x.tolist() == [[[[3.0], [7.0]]]]
    assert along_y.tolist() == [[[[8.0, 12.0]]]]


def test_total_variation_of_a_step() -> None:
    """One unit step in each of H rows is H / (H W) = 1 / W."""
    assert total_variation(step(4, 6)).item() == pytest.approx(1 / 6)


def test_total_variation_of_a_constant() -> None:
    """A constant map costs nothing, an added constant neither."""
    x = noise()
    assert total_variation(torch.full_like(x, 3.0)).item() == 0
    torch.testing.assert_close(total_variation(x + 5), total_variation(x))


def test_total_variation_scales_and_turns() -> None:
    """It is proportional to the map's size and the same for the transposed map."""
    x = noise()
    torch.testing.assert_close(total_variation(-3 * x), 3 * total_variation(x))
    torch.testing.assert_close(total_variation(x.transpose(2, 3)), total_variation(x))


@pytest.mark.parametrize("height", [1.0, 3.0])
def test_image_edge_lowers_the_price_of_a_superpixel_border(height: float) -> None:
    """A border on an edge of that height costs exp(-height^2 / sigma) of one in a flat region."""
    P = torch.cat([step(), 1 - step()], 1)
    flat = smoothness(P, torch.zeros_like(step()))
    assert flat.item() == pytest.approx(2 / 6)  # two superpixels change by one in each row
    on_edge = smoothness(P, height * step())
    assert on_edge.item() == pytest.approx(2 / 6 * exp(-(height**2) / 10))


def test_smoothness_of_a_constant_assignment() -> None:
    """No change of P, no cost."""
    assert smoothness(torch.full((2, 3, 4, 5), 1 / 3), noise().float()).item() == 0


def test_smoothness_ignores_numbering_and_brightness() -> None:
    """Neither the order of superpixels nor a brighter image matters."""
    P, image = noise(4).softmax(1), noise(seed=1)
    torch.testing.assert_close(smoothness(P.flip(1), image + 7), smoothness(P, image))


@pytest.mark.parametrize("normalise", ["max", "none"])
@pytest.mark.parametrize("size", [(2, 2), (2, 7), (5, 3)])
def test_edge_map_is_a_distribution(size: tuple[int, int], normalise: str) -> None:
    """The edge map of each band sums to one over all positions."""
    log_map = edge_map(noise(3, *size), normalise)
    assert log_map.shape == (2, 3, size[0] * size[1])
    torch.testing.assert_close(log_map.exp().sum(2), torch.ones(2, 3).double())


def test_edge_map_of_a_flat_image_is_uniform() -> None:
    """Without edges every position is alike."""
    log_map = edge_map(torch.zeros(1, 1, 3, 4))
    torch.testing.assert_close(log_map.exp(), torch.full((1, 1, 12), 1 / 12))


def test_edge_map_is_extreme_at_a_point() -> None:
    """A bright point is the least likely position, its eight neighbours the most likely."""
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 1
    found = edge_map(image, "none").view(5, 5)
    assert found.argmin().item() == 12
    ring = found[1:4, 1:4].flatten()[torch.arange(9) != 4]
    torch.testing.assert_close(ring, found.max().expand(8))


def test_max_normalisation_ignores_contrast() -> None:
    """With ``max`` the edge map does not depend on the image's contrast, with ``none`` it does."""
    image = noise()
    torch.testing.assert_close(edge_map(5 * image), edge_map(image))
    assert not torch.allclose(edge_map(5 * image, "none"), edge_map(image, "none"))


def test_temperature_sharpens() -> None:
    """A lower temperature concentrates the edge map."""
    assert edge_map(noise(), temperature=0.1).max() > edge_map(noise()).max()


def test_temperature_divides_the_laplacian() -> None:
    """Temperature t on t times the image is temperature one on the image."""
    image = noise()
    torch.testing.assert_close(edge_map(3 * image, "none", 3.0), edge_map(image, "none"))


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**16), normalise=st.sampled_from(["max", "none"]))
def test_edge_divergence_is_not_negative(seed: int, normalise: str) -> None:
    """A divergence is >= 0, and 0 for the same image."""
    image, other = noise(seed=seed), noise(seed=seed + 1)
    assert edge_divergence(image, other, normalise).item() > 0
    assert edge_divergence(image, image, normalise).item() == 0


def test_edge_divergence_grows_with_lost_edges() -> None:
    """The more an image's edges are blurred away, the larger the divergence."""
    image = noise()
    mild, strong = 0.7 * image, 0.2 * image
    near = edge_divergence(image, mild, "none").item()
    assert 0 < near < edge_divergence(image, strong, "none").item()


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)])
def test_edges_of_a_line_are_refused(size: tuple[int, int]) -> None:
    """An image thinner than two pixels has no Laplacian; the message says what to do."""
    with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]} pixels.*2 x 2"):
        edge_map(noise(1, *size))


def test_unknown_normalisation_is_refused() -> None:
    """The message names the choices."""
    with pytest.raises(ValueError, match="'sum'; choose 'max' or 'none'"):
        edge_map(noise(), "sum")


@pytest.mark.parametrize("uniform", [False, True])
def test_gradients_of_smoothness(uniform: bool) -> None:
    """Gradients by P and by the image are right; by the image also where P is uniform."""
    P, image = noise(3)[:1].softmax(1), noise(2, seed=1)[:1].clone().requires_grad_()
    if uniform:  # |dP| has a corner there, so only the image is checked
        assert gradcheck(lambda x: smoothness(torch.full_like(P, 1 / 3), x), (image,))
    else:
        assert gradcheck(smoothness, (P.clone().requires_grad_(), image))


def test_gradients_of_smoothness_at_hard_borders() -> None:
    """Through an image edge the gradient by the image is right for one-hot P as well."""
    P, image = torch.cat([step(), 1 - step()], 1), noise(2, 4, 6)[:1].clone().requires_grad_()
    assert gradcheck(lambda x: smoothness(P, x, 3.0), (image,))


def test_gradients_of_total_variation() -> None:
    """Gradients are right away from equal neighbours."""
    assert gradcheck(total_variation, (noise()[:1].clone().requires_grad_(),))


@pytest.mark.parametrize("normalise", ["max", "none"])
def test_gradients_of_edges(normalise: str) -> None:
    """Gradients of the edge map and of the divergence by both images are right."""
    image, other = (noise(2, 3, 4, s)[:1].clone().requires_grad_() for s in (0, 1))
    assert gradcheck(lambda x: edge_map(x, normalise), (image,))
    assert gradcheck(
        lambda x, y: edge_divergence(x, y, normalise),
        (image, other),
    )


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_images_have_finite_gradients(level: float) -> None:
    """A flat reconstruction, as at the start of training, gives no nan."""
    flat = torch.full((2, 3, 4, 5), level, requires_grad=True)
    value = edge_divergence(noise().float(), flat)
    value.backward()
    assert value.isfinite() and flat.grad is not None and flat.grad.isfinite().all()


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "smoothness": lambda x: smoothness(x.softmax(1), x),
    "total_variation": total_variation,
    "edge_map": edge_map,
    "edge_divergence": lambda x: edge_divergence(x, x.flip(3)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_widened(name: str, dtype: torch.dtype) -> None:
    """Under autocast sums and softmaxes over the image are float32 and finite."""
    x = noise().to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = FUNCTIONS[name](x)
    assert found.dtype == torch.float32 and found.isfinite().all()
