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
    Scores,
    absence,
    confusion,
    hungarian,
    majority,
    scores,
)
from ..registry import METRICS
from .device_counts import DeviceCounts

MATCHING_RULE = "one-to-one (Hungarian) over all scored pixels of the whole set"


@METRICS.register_module()
class HungarianMetric(BaseMetric):
    """Score a whole data set from one clusters x classes matrix.

    The matrix is all that is kept, however many images there are; it is summed over ranks, and
    the number of images seen must equal the size of the data set, so that padded samples cannot
    count twice. Source: section 4.1 of the paper, protocol of IIC.

    Where the data set names subsets (its splits), each has a matrix of its own, and the record
    holds its score under its own matching as well: the ``val2017`` numbers of later papers come
    out of the same evaluation.

    Predictions on a GPU are counted there and fetched once, at the end.

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
    SCORES = ("accuracy", "miou", "mean_class_accuracy", "many_to_one", "usage_entropy")

    def __init__(self, num_clusters: int, num_classes: int | None = None) -> None:
        # No prefix, and no files: the base class would collect through a folder in the
        # working directory.
        super().__init__(collect_device="cpu", prefix=None)
        self.num_clusters = num_clusters
        self.num_classes = num_classes
        self.record: dict[str, Any] = {}
        self._counts: IntArray | None = None
        self._on_device: DeviceCounts | None = None
        self._seen = 0

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: not looked at.
            data_samples: records with ``pred`` (H, W) and ``gt`` (H, W), and ``index`` where the
                data set has subsets.
        """
        classes = self._class_count()
        if self._counts is None:
            self._counts = self._no_counts()
        for sample in data_samples:
            if sample["gt"] is None:
                raise ValueError(
                    "HungarianMetric: image without labels; evaluate on a labelled data set, and "
                    "set PackInputs(with_labels=True) in its pipeline"
                )
            self._count(sample, classes)
        self._seen += len(data_samples)

    def _count(self, sample: Mapping[str, Any], classes: int) -> None:
        predicted, truth, part = sample["pred"], sample["gt"], self._part(sample)
        if isinstance(predicted, torch.Tensor) and not _on_host(predicted):
            if self._on_device is None:
                parts = len(self._subsets()) + 1
                self._on_device = DeviceCounts(parts, self.num_clusters, classes, predicted.device)
            self._on_device.add(part, predicted, truth)
            return
        assert self._counts is not None  # made by process
        self._counts[part] += confusion(
            _numpy(predicted), _numpy(truth), self.num_clusters, classes
        )

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over ranks, match, score, and start anew.

        Args:
            size: number of images in the data set.

        Returns:
            Percentages ``accuracy``, ``miou``, ``mean_class_accuracy``, ``many_to_one``, and
            ``usage_entropy`` of the clusters as a share of its bound (0 = collapsed, 1 = even).
        """
        # None: this rank had no image.
        counts = self._no_counts() if self._counts is None else self._counts
        if self._on_device is not None:
            counts = counts + self._on_device.take()
        total, seen = torch.from_numpy(counts.copy()), torch.tensor([self._seen])
        all_reduce(total)
        all_reduce(seen)
        self._counts, self._on_device, self._seen = None, None, 0
        if int(seen) != size:
            raise RuntimeError(
                f"HungarianMetric: {int(seen)} images were evaluated, the data set has {size}. "
                "Use a sampler with round_up=False and shuffle=False for evaluation"
            )
        parts = total.numpy()  # (subsets and the rest, clusters, classes)
        found = self.compute_metrics(parts.sum(0), size)
        subsets = self._subsets()
        if subsets:
            scored = zip(subsets.items(), parts, strict=False)
            self.record["subsets"] = {
                name: _subset_record(part, end - start) for (name, (start, end)), part in scored
            }
        return found

    def compute_metrics(self, results: IntArray, size: int = 0) -> dict[str, float]:  # type: ignore[override]
        """Match and score the summed matrix ``results``; fills ``record``."""
        absent = self._absent(results)
        mapping = hungarian(results)
        matched, loose = scores(results, mapping), scores(results, majority(results))
        found = dict(
            accuracy=_percent(matched.accuracy),
            miou=_percent(matched.miou),
            mean_class_accuracy=_percent(float(np.nanmean(matched.class_accuracy))),
            many_to_one=_percent(loose.accuracy),
            usage_entropy=_usage_entropy(results),
        )
        self.record = found | dict(
            per_class=self._per_class(results, matched),
            absent_classes=absent,
            mapping=mapping.tolist(),
            confusion=results.tolist(),
            pixels=int(results.sum()),
            images=size,
            protocol=self._protocol(),
        )
        return found

    def _subsets(self) -> dict[str, tuple[int, int]]:
        return (self.dataset_meta or {}).get("subsets") or {}

    def _no_counts(self) -> IntArray:
        return np.zeros(
            (len(self._subsets()) + 1, self.num_clusters, self._class_count()), np.int64
        )

    def _part(self, sample: Mapping[str, Any]) -> int:
        """Which matrix a record belongs to; the last is for those of no subset."""
        spans = list(self._subsets().values())
        index = sample["index"] if spans else -1
        inside = (n for n, (start, end) in enumerate(spans) if start <= index < end)
        return next(inside, len(spans))

    def _class_count(self) -> int:
        count = self.num_classes or len((self.dataset_meta or {}).get("classes", ()))
        if not count:
            raise ValueError(
                "HungarianMetric: the data set names no classes; give num_classes or a labelled "
                "data set"
            )
        return count

    def _per_class(self, counts: IntArray, matched: Scores) -> list[dict[str, Any]]:
        return [
            dict(name=name, accuracy=_percent(accuracy), iou=_percent(iou), pixels=int(pixels))
            for name, accuracy, iou, pixels in zip(
                self._names(counts),
                matched.class_accuracy,
                matched.class_iou,
                counts.sum(0),
                strict=True,
            )
        ]

    def _names(self, counts: IntArray) -> list[str]:
        names = list((self.dataset_meta or {}).get("classes", ()))
        return names + [str(number) for number in range(len(names), counts.shape[1])]

    def _absent(self, counts: IntArray) -> list[str]:
        """Names of the classes without a pixel, said in the log."""
        if not counts.sum():
            raise ValueError(
                "HungarianMetric: every pixel of the scored set is ignored, so there is no score: "
                f"give label maps that hold class numbers and not {IGNORE} alone"
            )
        absent = [self._names(counts)[number] for number in np.flatnonzero(counts.sum(0) == 0)]
        if absent:
            print_log(absence(absent, counts.shape[1]), logger="current", level=logging.WARNING)
        return absent

    def _protocol(self) -> dict[str, Any]:
        described = dict((self.dataset_meta or {}).get("protocol", {}))
        return described | dict(clusters=self.num_clusters, ignore=IGNORE, matching=MATCHING_RULE)


def _subset_record(counts: IntArray, images: int) -> dict[str, Any]:
    matched = scores(counts, hungarian(counts))
    return dict(
        accuracy=_percent(matched.accuracy),
        miou=_percent(matched.miou),
        images=images,
        pixels=int(counts.sum()),
        matching="its own",
    )


def _on_host(labels: torch.Tensor) -> bool:
    return labels.device.type == "cpu"


def _numpy(labels: Any) -> np.ndarray:
    return labels.cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)


def _percent(fraction: float) -> float:
    """In percent with four decimals; nan where nothing was scored."""
    return round(100 * float(fraction), 4)


def _usage_entropy(counts: IntArray) -> float:
    share = counts.sum(1) / max(counts.sum(), 1)
    share = share[share > 0]
    entropy = abs(float((share * np.log(share)).sum()))  # abs: a collapsed model has 0, not -0
    return round(entropy / float(np.log(max(counts.shape[0], 2))), 4)
