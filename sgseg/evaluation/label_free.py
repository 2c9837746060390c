r"""LabelFreeScores: agreement, information and cluster usage of a segmentation without labels.

With p_r(x) the class probabilities of pixel x read in raster order r, c_r(x) the class they are
highest for, p(x) the prediction and c(x) its class, K classes and P pixels of all images:

.. math:: \text{order\_agreement} = \frac{1}{|\{r<s\}|} \sum_{r<s}
          \frac{1}{P} \sum_x [c_r(x) = c_s(x)]

.. math:: \text{mutual\_information} = \frac{1}{\log K} \, \frac{1}{|\{r<s\}|} \sum_{r<s}
          I\Big(\tfrac{1}{P} \sum_x p_r(x) \, p_s(x)^\top\Big)

.. math:: \text{cluster\_usage} = \frac{1}{\log K} H\Big(\tfrac{1}{P} \sum_x [c(x) = k]\Big),
          \quad \text{largest\_cluster} = \max_k \tfrac{1}{P} \sum_x [c(x) = k]

.. math:: \text{flip\_consistency} = \frac{1}{P} \sum_x [c(x) = \tilde c(x)]

where c~ is the prediction of the mirrored image, mirrored back: the network is the same, so its
clusters need no matching. I is Eq 19's mutual information in nats, H the entropy. All lie in
[0, 1]. A collapsed model has order_agreement and flip_consistency 1, so these two say nothing
without the other two; ``order_kappa`` and ``flip_kappa`` are the same agreements beyond chance
(Cohen's kappa), in which it has 0:

.. math:: \kappa = \frac{a - e}{1 - e}, \quad e = \sum_k u_k v_k

with a an agreement and u, v the shares of the classes in the two segmentations it compares;
order_kappa is the mean over the pairs of orders.

Shapes: readings (R, B, K, H, W), prediction and mirrored (B, K, H, W).
"""

from __future__ import annotations

import math

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from ..ops.information import entropy, information_of_joint

NAMES = (
    *("order_agreement", "order_kappa", "mutual_information", "cluster_usage"),
    *("flip_consistency", "flip_kappa"),
)
"""The scores that can select an epoch or a run: larger is better."""


class LabelFreeScores:
    """Adds up images, and scores all of them at once.

    What is kept does not grow with the images: co-occurrences of the classes of all readings, and
    the clusters' sizes. They are summed over ranks.

    Args:
        readings: R; with one there is no agreement of readings, and its two scores are left out.
        classes: K.
    """

    def __init__(self, readings: int, classes: int) -> None:
        size = readings * classes
        self.readings = readings
        self.classes = classes
        self._soft = torch.zeros(size, size, dtype=torch.float64)
        self._hard = torch.zeros(size, size, dtype=torch.float64)
        self._flipped = torch.zeros(classes, classes, dtype=torch.float64)

    def add(self, readings: Tensor, prediction: Tensor, mirrored: Tensor) -> None:
        """Count some images; ``mirrored`` is mirrored back."""
        soft = readings.permute(0, 2, 1, 3, 4).flatten(2).flatten(0, 1).float()  # (R K, P)
        own = readings.argmax(2).flatten(1)  # (R, P)
        classes = torch.arange(self.classes, device=own.device)
        hard = (own[:, None] == classes[None, :, None]).flatten(0, 1).float()  # (R K, P)
        self._soft += (soft @ soft.T).double().cpu()
        self._hard += (hard @ hard.T).double().cpu()
        pairs = prediction.argmax(1) * self.classes + mirrored.argmax(1)  # (B, H, W)
        counts = torch.bincount(pairs.flatten(), minlength=self.classes**2)
        self._flipped += counts.view(self.classes, self.classes).double().cpu()

    def scores(self) -> dict[str, float]:
        """Every score of the module's docstring, over all ranks.

        Raises:
            ValueError: if no image was added on any rank.
        """
        for total in (self._soft, self._hard, self._flipped):
            all_reduce(total)
        pixels = self._flipped.sum()
        if pixels == 0:
            raise ValueError("LabelFreeScores: no image was added")
        share, bound = self._flipped.sum(1) / pixels, math.log(self.classes)
        kept, beyond = _agreements(self._flipped[None] / pixels)
        scores = dict(
            cluster_usage=float(entropy(share, 0)) / bound,
            largest_cluster=float(share.max()),
            flip_consistency=kept,
            flip_kappa=beyond,
        )
        if self.readings > 1:
            agreements = _agreements(self._pairs(self._hard) / pixels)
            scores["order_agreement"], scores["order_kappa"] = agreements
            scores["mutual_information"] = (
                float(information_of_joint(self._pairs(self._soft))) / bound
            )
        return {name: round(value, 6) + 0.0 for name, value in scores.items()}  # 0, never -0

    def _pairs(self, gram: Tensor) -> Tensor:
        """The block of every two different readings: (R(R-1)/2, K, K)."""
        count = self.readings
        blocks = gram.view(count, self.classes, count, self.classes).transpose(1, 2)
        first, second = torch.triu_indices(count, count, 1)
        return blocks[first, second]


def _agreements(joint: Tensor) -> tuple[float, float]:
    """Mean agreement of P pairs of segmentations, joint shares (P, K, K), and beyond chance."""
    same = joint.diagonal(dim1=1, dim2=2).sum(1)  # (P,)
    chance = (joint.sum(1) * joint.sum(2)).sum(1)  # (P,)
    kappa = torch.where(chance < 1, (same - chance) / (1 - chance), 0.0)
    return float(same.mean()), float(kappa.mean())
