"""What the benchmarks measure with, on calls whose cost is known."""

import pytest
import torch
from torch import nn

from sgseg.cost import measure

MATRIX = 64 * 64 * 4  # bytes


def test_saved_bytes_counts_a_storage_once() -> None:
    """exp keeps its result, square its argument: the same tensor, so one matrix."""
    x = torch.rand(64, 64, requires_grad=True)
    size, out = measure.saved_bytes(lambda: x.exp().square().sum())
    assert size == MATRIX
    out.backward()
    assert x.grad is not None


def test_peak_bytes_forgets_what_is_gone() -> None:
    """Ten matrices one after another need one at a time beside their source."""

    def one_by_one() -> None:
        for _ in range(10):
            torch.rand(64, 64).sum()

    def all_at_once() -> float:
        return float(sum(m.sum() for m in [torch.rand(64, 64) for _ in range(10)]))

    assert MATRIX <= measure.peak_bytes(one_by_one) < 2 * MATRIX
    assert 10 * MATRIX <= measure.peak_bytes(all_at_once) < 11 * MATRIX


def test_a_fake_step_counts_as_a_real_one() -> None:
    """Memory and arithmetic of a convolution, forward and backward, without computing it."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU())
    image = torch.rand(2, 3, 10, 12)

    def step(x: torch.Tensor) -> None:
        model(x).sum().backward()

    real = measure.peak_bytes(lambda: step(image)), measure.flops(lambda: step(image))
    with measure.as_fake(model):
        empty = torch.empty(2, 3, 10, 12)
        assert (measure.peak_bytes(lambda: step(empty)), measure.flops(lambda: step(empty))) == real
    # Forward and the weights' gradient; the image needs none.
    assert real[1] == 2 * (2 * 8 * 8 * 10 * 27 * 2)


@pytest.mark.parametrize("groups", [1, 8])
def test_the_backward_pass_of_a_convolution_is_two_forward_passes(groups: int) -> None:
    """For depthwise convolutions as well, whose groups torch's counter forgets."""
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    x = torch.rand(2, 8, 6, 6, requires_grad=True)
    forward = measure.flops(lambda: conv(x))
    assert forward == 2 * 2 * 36 * 8 * (8 // groups) * 9
    assert measure.flops(lambda: conv(x).sum().backward()) == 3 * forward


def test_ways_take_turns() -> None:
    """A drifting machine drifts for all ways alike."""
    calls: list[str] = []
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    taken = measure.seconds(ways, repeats=2, warm=1)
    assert calls == list("ababab")
    assert set(taken) == {"a", "b"}
