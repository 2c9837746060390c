"""HungarianMetric: accuracy of unnamed clusters after the best one-to-one matching."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..ops.matching import (
    IGNORE,
    IntArray,
    absence,
    hungarian,
    majority,
    named_accuracy,
    scores,
)
from ..registry import METRICS
from .confusion import ConfusionCounts

MATCHING_RULE = "one-to-one (Hungarian) over all scored pixels of the whole set"
NAMING_RULE = (
    "each cluster has the class it mostly holds in the images of even number, scored on those of "
    "odd number, and the other way round"
)
_UNNAMED = (
    "none: the scored images of even or of odd number have no labelled pixel, and names given on "
    "one half are scored on the other; score two images or more"
)


@METRICS.register_module()
class HungarianMetric(BaseMetric):
    """Score a whole data set from one clusters x classes matrix.

    The matrix is all that is kept, however many images there are; it is summed over ranks, and
    the number of images seen must equal the size of the data set, so that padded samples cannot
    count twice. Source: section 4.1 of the paper, protocol of IIC.

    ``named_accuracy`` is what a person reaches who names each cluster: names are given on one half
    of the images and scored on the other (:func:`sgseg.ops.matching.named_accuracy`). So each
    half has a matrix, the halves being the even and the odd numbers of the images.

    Where the data set names subsets (its splits), each has a matrix of its own, and the record
    holds its score under its own matching as well: the ``val2017`` numbers of later papers come
    out of the same evaluation.

    Pixels are counted where the predictions are, and the counts fetched once, at the end.

    Args:
        num_clusters: K of the model; may exceed the number of classes.
        num_classes: number of classes; default: the data set's class names.

    Attributes:
        SCORES: names of what an evaluation gives.
        record: the full result of the last evaluation, as ``eval.json`` holds it.

    Raises:
        ValueError: for images without labels, a data set without class names, or one whose
            every pixel is ignored.
        RuntimeError: if images were lost or counted twice.
    """

    default_prefix = ""
    SCORES = (
        *("accuracy", "miou", "mean_class_accuracy", "many_to_one", "named_accuracy"),
        "usage_entropy",
    )

    def __init__(self, num_clusters: int, num_classes: int | None = None) -> None:
        # No prefix, and no files: the base class would collect through a folder in the
        # working directory.
        super().__init__(collect_device="cpu", prefix=None)
        self.num_clusters = num_clusters
        self.num_classes = num_classes
        self.record: dict[str, Any] = {}
        self._counts: ConfusionCounts | None = None
        self._seen = 0

    @property
    def subsets(self) -> dict[str, tuple[int, int]]:
        """Name of each subset of the data set -> its first image and the one after its last."""
        return (self.dataset_meta or {}).get("subsets") or {}

    @property
    def class_names(self) -> list[str]:
        """Those of the data set; a class without a name has its number.

        Raises:
            ValueError: if neither the data set nor ``num_classes`` says how many there are.
        """
        names = list((self.dataset_meta or {}).get("classes", ()))
        count = self.num_classes or len(names)
        if not count:
            raise ValueError(
                "HungarianMetric: the data set names no classes; give num_classes or a labelled "
                "data set"
            )
        return (names + [str(number) for number in range(len(names), count)])[:count]

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: not looked at.
            data_samples: records with ``pred`` (H, W), ``gt`` (H, W) and ``index``, the number of
                the image in the data set.
        """
        classes, spans = len(self.class_names), list(self.subsets.values())
        for sample in data_samples:
            if sample["gt"] is None:
                raise ValueError(
                    "HungarianMetric: image without labels; evaluate on a labelled data set, and "
                    "set PackInputs(with_labels=True) in its pipeline"
                )
            predicted, truth = torch.as_tensor(sample["pred"]), torch.as_tensor(sample["gt"])
            if self._counts is None:
                self._counts = ConfusionCounts(
                    2 * (len(spans) + 1), self.num_clusters, classes, predicted.device
                )
            index = sample["index"]
            inside = (n for n, (start, end) in enumerate(spans) if start <= index < end)
            part = next(inside, len(spans))  # the last two matrices are for images of no subset
            self._counts.add(2 * part + index % 2, predicted, truth.to(predicted.device))
        self._seen += len(data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over ranks, match, score, and start anew.

        Args:
            size: number of images in the data set.

        Returns:
            Percentages ``accuracy``, ``miou``, ``mean_class_accuracy``, ``many_to_one``,
            ``named_accuracy`` (nan with less than two images), and ``usage_entropy`` of the
            clusters as a share of its bound (0 = collapsed, 1 = even).
        """
        shape = (2 * (len(self.subsets) + 1), self.num_clusters, len(self.class_names))
        total = torch.zeros(shape, dtype=torch.int64)  # of a rank without an image
        if self._counts is not None:
            total = torch.from_numpy(self._counts.take().copy())
        seen = torch.tensor([self._seen])
        all_reduce(total)
        all_reduce(seen)
        self._counts, self._seen = None, 0
        if int(seen) != size:
            raise RuntimeError(
                f"HungarianMetric: {int(seen)} images were evaluated, the data set has {size}. "
                "Use a sampler with round_up=False and shuffle=False for evaluation"
            )
        halves = total.numpy().reshape(-1, 2, *shape[1:])  # (subsets and the rest, halves, K, C)
        result = self.compute_metrics(halves.sum(0), size)
        parts = halves.sum(1)  # (subsets and the rest, clusters, classes)
        for (name, (start, end)), counts in zip(self.subsets.items(), parts, strict=False):
            matched = scores(counts, hungarian(counts))
            self.record.setdefault("subsets", {})[name] = dict(
                accuracy=_percent(matched.accuracy),
                miou=_percent(matched.miou),
                images=end - start,
                pixels=int(counts.sum()),
                matching="its own",
            )
        return result

    def compute_metrics(self, results: IntArray, size: int = 0) -> dict[str, float]:  # type: ignore[override]
        """Match and score the matrices of both halves, (2, K, C); fills ``record``."""
        named, results = named_accuracy(results), results.sum(0)  # (clusters, classes)
        names, pixels = self.class_names, results.sum(0)  # (classes,)
        if not results.sum():
            raise ValueError(
                "HungarianMetric: every pixel of the scored set is ignored, so there is no score: "
                f"give label maps that hold class numbers and not {IGNORE} alone"
            )
        absent = [names[number] for number in np.flatnonzero(pixels == 0)]
        if absent:
            print_log(absence(absent, len(names)), logger="current", level=logging.WARNING)
        mapping = hungarian(results)
        matched, loose = scores(results, mapping), scores(results, majority(results))
        result = dict(
            accuracy=_percent(matched.accuracy),
            miou=_percent(matched.miou),
            mean_class_accuracy=_percent(float(np.nanmean(matched.class_accuracy))),
            many_to_one=_percent(loose.accuracy),
            named_accuracy=_percent(named),
            usage_entropy=_usage_entropy(results),
        )
        each = zip(names, matched.class_accuracy, matched.class_iou, pixels, strict=True)
        described = dict((self.dataset_meta or {}).get("protocol", {}))
        protocol = dict(clusters=self.num_clusters, ignore=IGNORE, matching=MATCHING_RULE)
        known = not np.isnan(named)
        self.record = result | dict(
            named_accuracy=result["named_accuracy"] if known else None,
            naming=NAMING_RULE if known else _UNNAMED,
            per_class=[
                dict(name=name, accuracy=_percent(accuracy), iou=_percent(iou), pixels=int(count))
                for name, accuracy, iou, count in each
            ],
            absent_classes=absent,
            mapping=mapping.tolist(),
            confusion=results.tolist(),
            pixels=int(results.sum()),
            images=size,
            protocol=described | protocol,
        )
        return result


def _percent(fraction: float) -> float:
    """Percent with four decimals; nan where nothing was scored."""
    return round(100 * float(fraction), 4)


def _usage_entropy(counts: IntArray) -> float:
    share = counts.sum(1) / max(counts.sum(), 1)
    share = share[share > 0]
    entropy = abs(float((share * np.log(share)).sum()))  # abs: a collapsed model has 0, not -0
    return round(entropy / float(np.log(max(counts.shape[0], 2))), 4)
