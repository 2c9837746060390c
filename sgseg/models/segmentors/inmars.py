"""InMARS: information of superpixel regions, and two regularisers (Mirsadeghi et al., 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...ops.information import entropy
from ...ops.precision import EPS, full_precision
from ...ops.regions import region_means
from ...registry import MODELS
from ..layers import over_ranks
from ..layers.recompute import StatisticsAtRest
from .base import Config, UnsupervisedSegmentor


@full_precision
def region_probabilities(probability: Tensor, regions: Tensor) -> Tensor:
    """Mean class probabilities of every region of every image, (S, K).

    Args:
        probability: (B, K, H, W).
        regions: (B, H, W) whole numbers; S of them hold a pixel.
    """
    mean, pixels = region_means(probability, regions)
    return mean[pixels > 0]


def region_information_loss(probability: Tensor, balance: float = 4.0) -> Tensor:
    r"""Entropy of each region's classes, low, and of their use over all regions, high.

    .. math:: \frac{1}{S} \sum_s H(p_s) - \mu H\Big(\frac{1}{S} \sum_s p_s\Big)

    Args:
        probability: p_s of this process's regions, (S, K). Both means are taken over the regions
            of all processes, which may have unequal numbers of them.
        balance: mu.

    Returns:
        Scalar, at least -mu log K.
    """
    count = probability.new_full((1,), len(probability))
    own = [entropy(probability).sum()[None], probability.sum(0), count]
    unsure, use, count = over_ranks(torch.cat(own)).split([1, probability.shape[1], 1])
    return (unsure / count)[0] - balance * entropy(use / count, 0)


@full_precision
def divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of class probabilities (B, K, H, W), mean over pixels."""
    logs = first.clamp_min(EPS).log() - second.clamp_min(EPS).log()
    return (first * logs).sum(1).mean()


@MODELS.register_module()
class InMARS(UnsupervisedSegmentor):
    r"""Mutual information of regions under adversarial noise and a change of view.

    .. math:: L = L_{regions} + \nu\, KL(p(x) \| p(x + r_{adv})) + \omega\, KL(p(x) \| T^{-1} p(Tx))

    r_adv is the direction of steepest divergence, after one power iteration, of length epsilon
    per image (virtual adversarial training, Miyato et al.).

    Reconstruction from the description (RA-L 6(4), 2021): no code is public, and every number
    here is ours.

    Shapes: inputs (B, C, H, W) in [0, 1], regions (B, H, W) whole numbers.

    Args:
        backbone: trunk with ``out_channels``, such as :class:`Net10a`.
        decode_head: classifier with ``num_classes``.
        views: its second view is T x.
        balance: mu, 4.
        adversarial: nu.
        consistency: omega.
        radius: epsilon, in units of the input.
        data_preprocessor: see :class:`ImagePreprocessor`.
        seed: of views and noise; equal on all ranks.
    """

    def __init__(
        self,
        backbone: Config,
        decode_head: Config,
        views: Config,
        balance: float = 4.0,
        adversarial: float = 1.0,
        consistency: float = 1.0,
        radius: float = 1.0,
        data_preprocessor: Config | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            decode_head, backbone, views=views, data_preprocessor=data_preprocessor, seed=seed
        )
        self.balance = balance
        self.adversarial = adversarial
        self.consistency = consistency
        self.radius = radius

    def loss(self, inputs: Tensor, regions: Tensor | None = None) -> dict[str, Tensor]:
        """One training step."""
        if regions is None:
            raise ValueError(
                "InMARS needs the regions of its images: put SLICRegions before PackInputs "
                "in the training pipeline"
            )
        generator, _ = self.draws.next_step()
        pair = self.views(inputs, generator)
        probability = self.probability(inputs)
        pooled = region_probabilities(probability, regions)  # (S, K)
        target = probability.detach()
        with StatisticsAtRest(self):  # noise is no data
            worst = self._worst_noise(inputs, target, generator)
            disturbed = self.probability(inputs + worst)
        seen = pair.align(1, self.probability(pair.images[1]))
        return dict(
            loss_regions=region_information_loss(pooled, self.balance),
            loss_adversarial=self.adversarial * divergence(target, disturbed),
            loss_consistency=self.consistency * divergence(target, seen),
            class_usage=entropy(pooled.detach().mean(0), 0) / math.log(pooled.shape[1]),
        )

    def _worst_noise(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(inputs.shape, generator=generator).to(inputs)
        # Far enough that the quadratic divergence is seen in single precision.
        trial = (0.1 * self.radius * _unit(noise)).requires_grad_()
        with torch.enable_grad():
            far = divergence(target, self.probability(inputs + trial))
            (slope,) = torch.autograd.grad(far, trial)
        return self.radius * _unit(slope)


def _unit(x: Tensor) -> Tensor:
    """Each image of (B, C, H, W) scaled to length one; zeros stay."""
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
