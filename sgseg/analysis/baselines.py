"""What an accuracy has to be held against: K-Means on colours, majority class, no training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from ..engine.clustering import fit_centres, sample_features
from ..ops.matching import IGNORE
from ..registry import METRICS, MODELS


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
        config: from :func:`sgseg.apis.build_config`, with a labelled test set.
        sample: pixels to fit on.

    Raises:
        ValueError: if the config has no test set with labels.
    """
    if not config.get("test_evaluator"):
        raise ValueError("baselines need a test set with labels")
    seed = int((config.get("randomness") or {}).get("seed") or 0)
    loader = Runner.build_dataloader(config.test_dataloader, seed=seed)
    torch.manual_seed(seed)
    untrained = MODELS.build(config.model)
    kmeans = MODELS.build(_kmeans_model(config, seed)).to(get_device())
    images = (dict(inputs=b["inputs"], mask=b["gt"] != IGNORE) for b in loader)
    samples = sample_features(kmeans, images, -(-sample // len(loader.dataset)), seed)
    clusters = int(config.model.decode_head.num_classes)
    kmeans.decode_head.set_centres(fit_centres(samples, clusters, seed))
    record = _score(config, loader, kmeans)
    counts = np.asarray(record["confusion"])
    return Baselines(
        kmeans=record["accuracy"],
        majority=100 * float(counts.sum(0).max() / counts.sum()),
        untrained=_score(config, loader, untrained)["accuracy"],
    )


def _kmeans_model(config: Config, seed: int) -> dict[str, Any]:
    bands = config.model.data_preprocessor.bands
    clusters = config.model.decode_head.num_classes
    return dict(
        type="PixelKMeans",
        data_preprocessor=dict(type="ImagePreprocessor", bands=bands, standardise="none"),
        decode_head=dict(type="CentroidHead", in_channels=bands, num_classes=clusters),
        seed=seed,
    )


@torch.inference_mode()
def _score(config: Config, loader: Any, model: Any) -> dict[str, Any]:
    """The record of the config's metric."""
    model.to(get_device()).eval()
    metric = METRICS.build(config.test_evaluator)
    metric.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        metric.process(batch, model(**data, mode="predict"))
    metric.evaluate(len(loader.dataset))
    return metric.record
