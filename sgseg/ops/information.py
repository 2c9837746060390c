"""Entropies and mutual information of soft assignments.

Shapes: assignment (B, N, H, W); class probabilities p, q (B, K, H, W); joint (D, K, K), one
matrix per displacement. All values in nats. Source: Eq 9 and 18-19 of the paper; displacements
as in IIC (Ji et al., ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import fused
from .fused import fused_by
from .local_assignment import Assignment, LocalAssignment
from .local_forms import local_mass
from .precision import EPS, full_precision


@full_precision
def entropy(probability: Tensor, dim: int | tuple[int, ...] = 1) -> Tensor:
    """Shannon entropy in nats along ``dim``; 0 log 0 = 0, with finite gradient."""
    return -torch.xlogy(probability, probability.clamp_min(EPS)).sum(dim)


@full_precision
@fused_by(fused.clustering_objective)
def clustering_objective(assignment: Assignment, balance: float = 2.0) -> Tensor:
    r"""Per-pixel entropy against the entropy of the superpixel weights (Eq 9).

    .. math:: \frac{1}{HW} \sum_{p,s} -P_{p,s} \log P_{p,s}
              + \lambda \sum_s \hat P_s \log \hat P_s, \quad \hat P_s = \tfrac{1}{HW} \sum_p P_{p,s}

    Args:
        assignment: P, (B, N, H, W), in either form.
        balance: lambda, the weight of uniform superpixel sizes.

    Returns:
        Scalar, the mean over the batch; (1 - lambda) log N for uniform P, -lambda log N for
        balanced one-hot P, which is its least value.
    """
    if isinstance(assignment, LocalAssignment):
        share, pixels = assignment.weight, assignment.shape[2:].numel()
        mass = local_mass(share, assignment.cells)[..., None]  # (B, M, 1)
        usage = assignment.over_cells(mass)[..., 0] / pixels  # (B, N)
    else:
        share, usage = assignment, assignment.mean((2, 3))
    return mean_entropy(share) - balance * entropy(usage).mean()


@fused_by(fused.mean_entropy)
def mean_entropy(share: Tensor) -> Tensor:
    """Entropy of the shares (B, N, H, W) of each pixel, mean over pixels and batch."""
    return entropy(share).mean()


@full_precision
def joint_counts(p: Tensor, q: Tensor, half_window: int = 0) -> Tensor:
    r"""Expected co-occurrences of classes between two readings, one matrix per displacement.

    .. math:: J_t[a, b] = \sum_{n, x} p_{n,a,x} \, q_{n,b,x+t}, \quad t \in \{-T..T\}^2

    Only pairs inside the image count.

    Args:
        p, q: (B, K, H, W).
        half_window: T, in pixels; 0 compares equal positions only.

    Returns:
        (D, K, K) with D = (2T + 1)^2, rows for p, columns for q, not normalised: sums over
        ranks or micro-batches stay sums.

    Raises:
        ValueError: if the shapes differ or T reaches the image's size.
    """
    if p.shape != q.shape or p.dim() != 4:
        raise ValueError(
            f"joint_counts: p {tuple(p.shape)} and q {tuple(q.shape)} must both be (B, K, H, W)"
        )
    height, width = p.shape[2:]
    if half_window % 1 or not 0 <= half_window < min(height, width):
        raise ValueError(
            f"joint_counts: half_window = {half_window} must be whole, >= 0 and smaller than the "
            f"image ({height} x {width}): lower half_window or use larger images"
        )
    if half_window == 0:
        return (p.flatten(2) @ q.flatten(2).mT).sum(0, keepdim=True)  # (1, K, K)
    return displaced_counts(p, q, half_window)  # (D, K, K)


@full_precision
@fused_by(fused.displaced_counts)
def displaced_counts(p: Tensor, q: Tensor, half_window: int) -> Tensor:
    """The counts of :func:`joint_counts` by direct correlation, as IIC publishes it.

    ``p`` is the filter of a convolution over ``q``, with the images as its channels: the cost
    grows with the number of displacements, which that of the fused form does not.
    """
    p, q = p.transpose(0, 1), q.transpose(0, 1)  # (K, B, H, W)
    counts = F.conv2d(q, p, padding=half_window)  # (K of q, K of p, 2T+1, 2T+1)
    return counts.permute(2, 3, 1, 0).flatten(0, 1)  # (D, K, K)


@full_precision
def information_of_joint(joint: Tensor, balance: float = 1.0) -> Tensor:
    r"""Mutual information of co-occurrence counts, averaged over displacements.

    .. math:: \lambda (H(a) + H(b)) - H(a, b)

    Args:
        joint: (D, K, K), non-negative, in any unit: each matrix is normalised to one.
        balance: lambda; above one favours equal use of the classes.

    Returns:
        Scalar in nats; with lambda = 1 it lies in [0, log K].
    """
    joint = joint / joint.sum((1, 2), keepdim=True).clamp_min(EPS)  # (D, K, K)
    marginals = entropy(joint.sum(2)) + entropy(joint.sum(1))  # (D,)
    return (balance * marginals - entropy(joint, (1, 2))).mean()


def mutual_information(p: Tensor, q: Tensor, half_window: int = 0, balance: float = 1.0) -> Tensor:
    """Mutual information of two readings (Eq 19); larger is better, the loss is its negative.

    Args:
        p, q: class probabilities, (B, K, H, W).
        half_window: T; the mean over all displacements {-T..T}^2 is taken.
        balance: weight of the marginal entropies, see :func:`information_of_joint`.

    Returns:
        Scalar in nats. Equal balanced one-hot readings of K classes give log K.
    """
    return information_of_joint(joint_counts(p, q, half_window), balance)


@full_precision
def usage_of_joint(joint: Tensor) -> Tensor:
    """Share of each class in co-occurrence counts, mean of both readings and displacements: (K,).

    Args:
        joint: (D, K, K), non-negative, in any unit.
    """
    joint = joint / joint.sum((1, 2), keepdim=True).clamp_min(EPS)  # (D, K, K)
    return ((joint.sum(2) + joint.sum(1)) / 2).mean(0)  # (K,)


@full_precision
def divergence(usage: Tensor, shares: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the usage from the shares, (K,) each, in nats.

    Args:
        usage: sums to one; a class without pixels counts 0, with finite gradient.
        shares: positive, sums to one.
    """
    return -(usage * shares.log()).sum() - entropy(usage, 0)


def normalised_shares(shares: Sequence[float]) -> tuple[float, ...]:
    """Rough shares as they are used: the largest first, with sum 1.

    Raises:
        ValueError: for fewer than two, one that is not above 0, or a sum outside of 0.9 to 1.1
            (90 to 110 if they are percents).
    """
    given, total = list(shares), float(sum(shares))
    scale = 100.0 if total > 10 else 1.0
    if len(given) < 2 or not all(0 < share < float("inf") for share in given):
        raise ValueError(
            f"shares = {given}: give a part above 0 for each of two or more clusters, for example "
            "0.65 0.2 0.15"
        )
    if not 0.9 * scale <= total <= 1.1 * scale:
        raise ValueError(
            f"shares = {given}: their sum is {total:.4g}, and all clusters together have 1 (or "
            "100, in percent): give the part of the pixels that each cluster has"
        )
    return tuple(sorted((share / total for share in given), reverse=True))
