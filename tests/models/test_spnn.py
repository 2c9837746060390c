"""SPNN: shapes, softmax, options, errors, precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sgseg.cost.measure import flops
from sgseg.models import SPNN
from sgseg.registry import MODELS


def net(bands: int = 3, **options: object) -> SPNN:
    torch.manual_seed(0)
    return SPNN(bands, num_superpixels=6, base_channels=2, **options)


def image(bands: int = 3, batch: int = 2, height: int = 9, width: int = 7) -> Tensor:
    return torch.randn(batch, bands, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(9, 7), (8, 8), (1, 1), (1, 5)])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_shapes(bands: int, size: tuple[int, int]) -> None:
    """Any number of bands and any size, odd ones too, at full resolution."""
    found = net(bands).eval()(image(bands, 2, *size))
    assert found.assignment.shape == (2, 6, *size)
    assert found.feature.shape == (2, 16, *size)
    assert found.reconstruction.shape == (2, bands, *size)


@pytest.mark.parametrize("size", [(9, 7), (8, 8), (1, 1)])
def test_stride_keeps_the_size(size: tuple[int, int]) -> None:
    """A coarser grid inside, full resolution outside, and still a distribution."""
    found = net(stride=2).eval()(image(3, 2, *size))
    assert found.assignment.shape == (2, 6, *size)
    assert found.feature.shape == (2, 16, *size)
    assert found.reconstruction.shape == (2, 3, *size)
    torch.testing.assert_close(found.assignment.sum(1), torch.ones(2, *size))


def test_stride_two_takes_under_a_third_of_the_work() -> None:
    """Everything behind the first layer runs on a quarter of the pixels."""
    x = image(height=32, width=32)
    costs = [flops(lambda stride=stride: net(stride=stride).eval()(x)) for stride in (1, 2)]
    assert costs[1] < costs[0] / 3


def test_assignment_is_a_distribution() -> None:
    """Every pixel is shared out completely among the superpixels."""
    P = net()(image()).assignment
    assert (P >= 0).all()
    torch.testing.assert_close(P.sum(1), torch.ones(2, 9, 7))


def test_images_do_not_influence_each_other() -> None:
    """In eval mode a batch of two gives what two batches of one give."""
    model, x = net().double().eval(), image().double()
    alone = [model(x[b : b + 1]) for b in range(2)]
    for whole, parts in zip(model(x), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.cat(parts))


def test_every_weight_is_trained() -> None:
    """All three outputs together reach every parameter."""
    model = net()
    found = model(image())
    (found.assignment.square().sum() + found.reconstruction.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_paper_network_does_not_know_positions() -> None:
    """Far from the border, shifting the image shifts the assignment; with_coords ends that."""
    x = image(height=48, width=48).double()
    inner = (..., slice(20, 28), slice(20, 28))  # the window of 21 pixels stays inside

    def change(model: SPNN) -> float:
        model = model.double().eval()
        here, there = model(x).assignment, model(x.roll(3, 3)).assignment.roll(-3, 3)
        return (here[inner] - there[inner]).abs().max().item()

    assert change(net()) < 1e-12 < 1e-6 < change(net(with_coords=True))


def test_a_shift_rolls_the_coordinates_alone() -> None:
    """Away from the border, a rolled image with equally rolled coordinates is rolled throughout."""
    x = image(height=48, width=48).double()
    model = net(with_coords=True).double().eval()
    inner = (..., slice(20, 28), slice(20, 28))  # the window of 21 pixels stays inside
    shift = torch.tensor([[3, 0], [0, 5]])
    here = model(x).assignment
    there = model(torch.stack([x[0].roll(3, 1), x[1].roll(5, 2)]), shift).assignment
    back = torch.stack([there[0].roll(-3, 1), there[1].roll(-5, 2)])
    torch.testing.assert_close(back[inner], here[inner], rtol=0, atol=1e-12)
    assert not torch.equal(model(x, shift).assignment[inner], here[inner])


def test_with_coords_keeps_the_outputs() -> None:
    """Two more input channels, the same reconstruction bands."""
    model = net(4, with_coords=True)
    assert model.trunk[0][0].in_channels == 6
    assert model(image(4)).reconstruction.shape == (2, 4, 9, 7)


def test_logit_norm_standardises_each_superpixel() -> None:
    """Before the softmax each superpixel's logits have mean zero and deviation one."""
    seen: list[Tensor] = []
    model = net(logit_norm=True).double()
    model.classifier.register_forward_hook(lambda module, given, out: seen.append(out))
    log_p = model(image(height=12, width=12).double()).assignment.log()
    raw = seen[0][:, :6]
    expected = (raw - raw.mean((2, 3), keepdim=True)) / (
        raw.var((2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    # The softmax leaves one unknown per pixel, so differences are compared.
    torch.testing.assert_close(log_p - log_p[:, :1], expected - expected[:, :1])


def test_low_temperature_hardens() -> None:
    """Dividing the logits by less than one makes the assignment surer."""
    soft, hard = net()(image()).assignment, net(temperature=0.1)(image()).assignment
    assert hard.amax(1).mean() > soft.amax(1).mean()
    assert torch.equal(hard.argmax(1), soft.argmax(1))


def test_softmax_is_never_half() -> None:
    """Under autocast P is float32, so that its logarithm does not underflow."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        P = net().eval()(image()).assignment
    assert P.dtype == torch.float32
    torch.testing.assert_close(P.sum(1), torch.ones(2, 9, 7))


def test_biases_start_at_zero_and_weights_do_not() -> None:
    """Xavier initialisation: no bias favours a superpixel at the start."""
    model = net()
    assert (model.classifier.bias == 0).all()
    weight = model.classifier.weight
    bound = (6 / (weight.shape[0] + weight.shape[1])) ** 0.5
    assert 0 < weight.abs().max() <= bound


def test_built_by_name() -> None:
    """A config names it as a string."""
    config = dict(type="SPNN", in_channels=1, num_superpixels=5, base_channels=1)
    assert isinstance(MODELS.build(config), SPNN)


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (3, 8, 8)])
def test_wrong_image_is_refused(shape: tuple[int, ...]) -> None:
    """The message shows the shape and says to set in_channels."""
    with pytest.raises(ValueError, match=r"expected images \(B, 3, H, W\).*set in_channels"):
        net()(torch.zeros(shape))


@pytest.mark.parametrize(
    "options",
    [dict(num_superpixels=1), dict(base_channels=0), dict(in_channels=0), dict(temperature=0.0)],
)
def test_wrong_parameter_is_refused(options: dict) -> None:
    """The message names the parameter and its value."""
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        SPNN(**options)
