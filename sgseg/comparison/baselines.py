"""Baselines of an accuracy: K-Means on colours, the majority class, the untrained model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from ..engine.hooks.clustering import fit_centres, sample_features
from ..ops.matching import IGNORE
from ..registry import METRICS, MODELS
from ..training.loaders import settle_workers


class Baselines(NamedTuple):
    """Pixel accuracies in percent, on the config's test set."""

    kmeans: float
    """Hungarian accuracy of K-Means on single-pixel colours."""
    majority: float
    """Share of the most frequent class."""
    untrained: float
    """Hungarian accuracy of the model with its first weights."""


def measure_baselines(config: Config, sample: int = 1_000_000) -> Baselines:
    """Score the three baselines on the test set of a config.

    K-Means is that of ``configs/kmeans``, fitted on the scored pixels of the test set itself.

    Args:
        config: from :func:`sgseg.training.build_config`, with a labelled test set.
        sample: pixels to fit on.

    Raises:
        ValueError: if the config has no test set with labels.
    """
    untrained = untrained_record(config)
    return Baselines(
        kmeans=kmeans_record(config, sample)["accuracy"],
        majority=majority_of(untrained),
        untrained=untrained["accuracy"],
    )


def kmeans_record(config: Config, sample: int = 1_000_000) -> dict[str, Any]:
    """The record of K-Means on colours, as ``eval.json`` has one; see :func:`measure_baselines`."""
    loader, metric, seed = _test_set(config)
    bands, clusters = config.model.data_preprocessor.bands, int(metric.num_clusters)
    model = MODELS.build(
        dict(
            type="PixelKMeans",
            data_preprocessor=dict(type="ImagePreprocessor", bands=bands, standardise="none"),
            decode_head=dict(type="CentroidHead", in_channels=bands, num_classes=clusters),
            seed=seed,
        )
    ).to(get_device())
    scored = (dict(inputs=batch["inputs"], mask=batch["gt"] != IGNORE) for batch in loader)
    samples = sample_features(model, scored, -(-sample // len(loader.dataset)), seed)
    model.decode_head.set_centres(fit_centres(samples, clusters, seed))
    return _score(model, loader, metric)


def untrained_record(config: Config) -> dict[str, Any]:
    """The record of the model with its first weights."""
    loader, metric, seed = _test_set(config)
    torch.manual_seed(seed)
    return _score(MODELS.build(config.model).to(get_device()), loader, metric)


def majority_of(record: Mapping[str, Any]) -> float:
    """Share of the most frequent class in a record, in percent."""
    pixels = np.asarray(record["confusion"]).sum(0)
    return 100 * float(pixels.max() / max(pixels.sum(), 1))


def _test_set(config: Config) -> tuple[Any, Any, int]:
    """Loader and metric of the test set, and the seed."""
    if not config.get("test_evaluator"):
        raise ValueError("baselines need a test set with labels")
    seed = int((config.get("randomness") or {}).get("seed") or 0)
    config = copy.deepcopy(config)
    settle_workers(config)
    loader = Runner.build_dataloader(config.test_dataloader, seed=seed)
    metric = METRICS.build(config.test_evaluator)
    metric.dataset_meta = loader.dataset.metainfo
    return loader, metric, seed


@torch.inference_mode()
def _score(model: Any, loader: Any, metric: Any) -> dict[str, Any]:
    model.eval()
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        metric.process(batch, model(**data, mode="predict"))
    metric.evaluate(len(loader.dataset))
    return metric.record
