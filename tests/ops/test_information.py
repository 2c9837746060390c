"""Entropies and mutual information: bounds, known values, displacements, gradients, precision."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from sgseg.cost.measure import saved_bytes
from sgseg.ops.information import (
    clustering_objective,
    divergence,
    entropy,
    information_of_joint,
    joint_counts,
    mutual_information,
    normalised_shares,
    usage_of_joint,
)


def soft(classes: int = 3, size: int = 4, sharp: float = 2.0, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, size, size + 1, generator=g, dtype=torch.float64)
    return (sharp * logits).softmax(1)


def stripes(classes: int, length: int, batch: int = 2) -> Tensor:
    """One-hot columns of all classes in turn, each equally often."""
    owner = (torch.arange(classes * length) % classes).expand(batch, 1, 4, -1)
    return torch.zeros(batch, classes, 4, classes * length).double().scatter_(1, owner, 1.0)


def direct_joint(p: Tensor, q: Tensor, half_window: int) -> Tensor:
    """Overlap the shifted maps, one displacement after the other."""
    height, width = p.shape[2:]
    joints = []
    for di in range(-half_window, half_window + 1):
        for dj in range(-half_window, half_window + 1):
            total = torch.zeros(p.shape[1], p.shape[1], dtype=p.dtype)
            for i in range(max(0, -di), min(height, height - di)):
                for j in range(max(0, -dj), min(width, width - dj)):
                    total += p[:, :, i, j].T @ q[:, :, i + di, j + dj]
            joints.append(total)
    return torch.stack(joints)


READINGS = dict(
    classes=st.integers(2, 5),
    size=st.integers(3, 5),
    sharp=st.sampled_from([0.0, 0.1, 1.0, 5.0, 50.0]),
    half_window=st.integers(0, 2),
    seed=st.integers(0, 2**16),
)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(**READINGS)
def test_information_lies_between_zero_and_log_k(
    classes: int, size: int, sharp: float, half_window: int, seed: int
) -> None:
    """0 <= MI <= log K for any two readings, soft or hard, with or without displacements."""
    p, q = soft(classes, size, sharp, seed), soft(classes, size, sharp, seed + 1)
    for other in (p, q):
        value = mutual_information(p, other, half_window).item()
        assert -1e-6 <= value <= log(classes) + 1e-6


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(**READINGS)
def test_information_is_symmetric(
    classes: int, size: int, sharp: float, half_window: int, seed: int
) -> None:
    """It does not matter which reading comes first."""
    p, q = soft(classes, size, sharp, seed), soft(classes, size, sharp, seed + 1)
    forth = mutual_information(p, q, half_window)
    torch.testing.assert_close(forth, mutual_information(q, p, half_window), rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**16), half_window=st.integers(0, 2))
def test_information_ignores_the_numbering_of_clusters(seed: int, half_window: int) -> None:
    """Renaming the clusters of one reading changes nothing."""
    p, q = soft(4, seed=seed), soft(4, seed=seed + 1)
    renamed = q[:, torch.randperm(4, generator=torch.Generator().manual_seed(seed))]
    expected = mutual_information(p, q, half_window)
    torch.testing.assert_close(mutual_information(p, renamed, half_window), expected)


@pytest.mark.parametrize("classes", [2, 3, 15])
def test_equal_balanced_readings_give_log_k(classes: int) -> None:
    """Sure, equal and evenly used classes reach the bound."""
    p = stripes(classes, 2)
    torch.testing.assert_close(mutual_information(p, p), torch.tensor(log(classes)).double())


def test_permuted_clusters_still_give_log_k() -> None:
    """Two readings that agree up to names are as good as equal ones."""
    p = stripes(3, 2)
    torch.testing.assert_close(mutual_information(p, p.roll(1, 1)), torch.tensor(log(3)).double())


def test_independent_readings_give_zero() -> None:
    """Classes by row against classes by column share nothing."""
    along = stripes(4, 1)  # (2, 4, 4, 4), class = column
    across = along.transpose(2, 3)
    assert abs(mutual_information(along, across).item()) < 1e-12


@pytest.mark.parametrize("p", [soft(3, sharp=0.0), stripes(3, 2)[:, :, :, :1].expand(2, 3, 4, 6)])
def test_collapsed_readings_give_zero(p: Tensor) -> None:
    """Uniform maps and maps with one class everywhere carry no information."""
    assert abs(mutual_information(p, p).item()) < 1e-6


def test_balance_weights_the_marginals() -> None:
    """lambda (H(a) + H(b)) - H(a, b), as IIC writes it."""
    p, q = soft(seed=0), soft(seed=1)
    marginals = (entropy(p.mean((0, 2, 3)), 0) + entropy(q.mean((0, 2, 3)), 0)).item()
    plain, heavy = mutual_information(p, q).item(), mutual_information(p, q, balance=1.5).item()
    assert heavy - plain == pytest.approx(0.5 * marginals, abs=1e-12)


@pytest.mark.parametrize("half_window", [0, 1, 2, 3])
def test_displacements_equal_the_direct_loop(half_window: int) -> None:
    """The frequency-domain path counts exactly the pairs inside the image, without wrapping."""
    p, q = soft(seed=0), soft(seed=1)
    found = joint_counts(p, q, half_window)
    assert found.shape == ((2 * half_window + 1) ** 2, 3, 3)
    torch.testing.assert_close(found, direct_joint(p, q, half_window), rtol=0, atol=1e-12)


def test_single_precision_is_near_double() -> None:
    """Ten pixels of displacement in float32: value and gradient within 1e-5 of float64's."""
    coarse = torch.randn(2, 2, 4, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    results = []
    for dtype in (torch.float32, torch.float64):
        readings = coarse.repeat_interleave(8, 3).repeat_interleave(8, 4).to(dtype).softmax(2)
        readings.requires_grad_()
        value = mutual_information(*readings, 10)
        results.append((value, torch.autograd.grad(value, readings)[0]))
    for found, expected in zip(*results, strict=True):
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_one_reading_alone_gets_a_gradient() -> None:
    """With the other reading fixed, the gradient of the first is that of both."""
    p, q = soft(seed=0).requires_grad_(), soft(seed=1).requires_grad_()
    both = torch.autograd.grad(mutual_information(p, q, 1), (p, q))
    torch.testing.assert_close(
        torch.autograd.grad(mutual_information(p, q.detach(), 1), p)[0], both[0]
    )
    torch.testing.assert_close(
        torch.autograd.grad(mutual_information(p.detach(), q, 1), q)[0], both[1]
    )


def test_nothing_but_the_readings_is_kept() -> None:
    """The backward pass of the displaced joint keeps no spectrum."""
    p, q = soft(seed=0).requires_grad_(), soft(seed=1).requires_grad_()
    saved, _ = saved_bytes(lambda: joint_counts(p, q, 2))
    joints = 2 * 25 * 9 * 8  # clamped, and its mask
    assert saved <= (p.numel() + q.numel()) * 8 + joints


def test_a_shifted_copy_is_found_at_its_displacement() -> None:
    """Only the joint of the true displacement is diagonal."""
    g = torch.Generator().manual_seed(0)
    owner = torch.randint(3, (1, 1, 6, 7), generator=g)
    p = torch.zeros(1, 3, 6, 7).scatter_(1, owner, 1.0)
    joints = joint_counts(p, p.roll((1, -1), (2, 3)), 1).view(3, 3, 3, 3)
    seen = joints[2, 0]  # down by one, left by one
    torch.testing.assert_close(seen, torch.diag(seen.diagonal()))
    assert (joints[1, 1] - torch.diag(joints[1, 1].diagonal())).sum() > 1


def test_joints_of_parts_add_up() -> None:
    """Summing the joints of micro-batches gives the joint of the batch."""
    p, q = soft(seed=0), soft(seed=1)
    parts = joint_counts(p[:1], q[:1], 1) + joint_counts(p[1:], q[1:], 1)
    torch.testing.assert_close(joint_counts(p, q, 1), parts)


def test_joint_in_any_unit() -> None:
    """Only the shape of the joint counts, not the number of pixels behind it."""
    joint = joint_counts(soft(seed=0), soft(seed=1))
    torch.testing.assert_close(information_of_joint(1000 * joint), information_of_joint(joint))


def test_large_images_do_not_shift_the_value() -> None:
    """Repeating an image many times in float32 leaves its information as it is."""
    p, q = soft(seed=0).float(), soft(seed=1).float()
    many = mutual_information(p.repeat(1, 1, 16, 16), q.repeat(1, 1, 16, 16))
    torch.testing.assert_close(many, mutual_information(p, q), rtol=0, atol=1e-5)


@pytest.mark.parametrize("half_window", [-1, 4, 10])
def test_half_window_that_does_not_fit_is_refused(half_window: int) -> None:
    """The message names the window and the image."""
    with pytest.raises(ValueError, match=rf"half_window = {half_window} .*\(4 x 5\)"):
        joint_counts(soft(), soft(), half_window)


def test_unequal_readings_are_refused() -> None:
    """Readings with another number of classes are named with their shapes."""
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\).*\(2, 4, 4, 5\)"):
        joint_counts(soft(3), soft(4))


@pytest.mark.parametrize("balance", [0.5, 2.0])
def test_clustering_of_uniform_assignment(balance: float) -> None:
    """Uniform P gives (1 - lambda) log N."""
    value = clustering_objective(soft(4, sharp=0.0), balance).item()
    assert value == pytest.approx((1 - balance) * log(4), abs=1e-12)


@pytest.mark.parametrize("balance", [0.5, 2.0])
def test_clustering_of_balanced_hard_assignment(balance: float) -> None:
    """Balanced one-hot P gives -lambda log N."""
    value = clustering_objective(stripes(4, 3), balance).item()
    assert value == pytest.approx(-balance * log(4), abs=1e-12)


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**16), sharp=st.sampled_from([0.0, 1.0, 50.0]))
def test_balanced_hard_assignment_is_the_least(seed: int, sharp: float) -> None:
    """No assignment does better than sure pixels in evenly used superpixels."""
    assert clustering_objective(soft(4, 4, sharp, seed)).item() >= -2 * log(4) - 1e-9


def test_clustering_balances_each_image() -> None:
    """Usage is counted per image: two images with one superpixel each are not balanced."""
    P = torch.zeros(2, 2, 3, 3)
    P[0, 0] = P[1, 1] = 1
    assert clustering_objective(P).item() == pytest.approx(0, abs=1e-6)


def test_entropy_of_zero_probability() -> None:
    """0 log 0 is 0 and its gradient is finite."""
    p = torch.tensor([[1.0, 0.0]], requires_grad=True)
    value = entropy(p)
    value.sum().backward()
    assert value.item() == 0 and p.grad is not None and p.grad.isfinite().all()


def test_clustering_at_zero_has_the_gradient_of_the_floor() -> None:
    """Where P is exactly 0 the slope of P log P is the one at the floor, 1e-8."""
    P = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    P[0, 0] = 1
    (slope,) = torch.autograd.grad(clustering_objective(P.requires_grad_(), 0.0), P)
    assert slope.flatten().tolist() == pytest.approx([-1.0, -1 - log(1e-8)])


FUNCTIONS = {
    "entropy": entropy,
    "clustering": clustering_objective,
    "information": lambda p: mutual_information(p, p.flip(3)),
    "information_displaced": lambda p: mutual_information(p, p.flip(3), 1),
}


@pytest.mark.parametrize("sharp", [0.0, 2.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name: str, sharp: float) -> None:
    """Gradients are right at random and at uniform probabilities."""
    p = soft(3, 2, sharp)[:1].clone().requires_grad_()
    assert gradcheck(FUNCTIONS[name], (p,))


@pytest.mark.parametrize("half_window", [0, 1])
def test_gradients_of_both_readings(half_window: int) -> None:
    """The joint passes gradients to both readings, through the displacements as well."""
    p, q = soft(2, 2, seed=0)[:1].clone(), soft(2, 2, seed=1)[:1].clone()
    inputs = (p.requires_grad_(), q.requires_grad_())
    assert gradcheck(lambda a, b: joint_counts(a, b, half_window), inputs)
    assert gradcheck(lambda a, b: mutual_information(a, b, half_window), inputs)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_hard_maps_have_finite_values_and_gradients(name: str, empty: bool) -> None:
    """One-hot maps, with an unused class too, give no nan."""
    p = stripes(3, 2).float()
    if empty:
        p = torch.cat([p, torch.zeros_like(p[:, :1])], 1)
    p.requires_grad_()
    value = FUNCTIONS[name](p)
    value.sum().backward()
    assert value.isfinite().all() and p.grad is not None and p.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_widened(name: str, dtype: torch.dtype) -> None:
    """Under autocast logarithms and joints are float32 and agree with it."""
    p = soft().to(dtype)
    function: Callable[[Tensor], Tensor] = FUNCTIONS[name]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(p)
    assert found.dtype == torch.float32 and found.isfinite().all()
    torch.testing.assert_close(found, function(p.float()))


def test_divergence_from_stated_shares() -> None:
    """Zero where the usage is the shares, log K - H from equal ones, finite without a class."""
    shares = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    assert divergence(shares, shares).item() == pytest.approx(0.0, abs=1e-12)
    equal = torch.full((3,), 1 / 3, dtype=torch.float64)
    found = divergence(shares, equal)
    assert found.item() == pytest.approx(log(3) - entropy(shares, 0).item())
    empty = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    divergence(empty, shares).backward()
    assert empty.grad is not None and empty.grad.isfinite().all()
    logits = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: divergence(x.softmax(0), shares), (logits,))


def test_usage_is_the_mean_of_both_readings() -> None:
    """From the counts of two readings, those of their class probabilities."""
    p, q = soft(seed=1), soft(seed=2)
    expected = (p.mean((0, 2, 3)) + q.mean((0, 2, 3))) / 2
    torch.testing.assert_close(usage_of_joint(joint_counts(p, q)), expected)


def test_shares_are_sorted_and_sum_to_one() -> None:
    """Parts or percents, in any order, rounded as people do."""
    assert normalised_shares([0.15, 0.65, 0.2]) == pytest.approx((0.65, 0.2, 0.15))
    assert normalised_shares([20, 65, 15]) == pytest.approx((0.65, 0.2, 0.15))
    assert normalised_shares([0.66, 0.2, 0.1]) == pytest.approx((0.6875, 0.2083, 0.1042), abs=1e-4)


@pytest.mark.parametrize("shares", [[0.5, 0.2], [1.0], [0.7, 0.3, 0.0], [0.9, 0.4, -0.3], [5, 5]])
def test_shares_that_make_no_sense_are_refused(shares: list[float]) -> None:
    """A sum that is far from the whole, one cluster, a cluster without pixels, less than none."""
    with pytest.raises(ValueError, match=r"shares = .*(their sum is|give a part above 0)"):
        normalised_shares(shares)
