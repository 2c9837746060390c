"""What an accuracy has to be held against: K-Means on colours, majority class, no training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from sklearn.cluster import MiniBatchKMeans

from ..ops.matching import IGNORE, confusion, hungarian, scores
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

    K-Means after IIC's: MiniBatchKMeans (k-means++, 3 starts) on the colours of at most
    ``sample`` scored pixels, then one cluster for every pixel and one Hungarian matching.

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
    clusters = int(config.model.decode_head.num_classes)
    pixels, labels = _pixels(loader)
    classes = len(loader.dataset.metainfo["classes"])
    scored = labels != IGNORE
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero(scored)
    chosen = rng.choice(candidates, min(sample, len(candidates)), replace=False)
    kmeans = MiniBatchKMeans(clusters, n_init=3, random_state=seed, batch_size=1024 * clusters)
    predicted = kmeans.fit(pixels[chosen]).predict(pixels[scored])
    counts = confusion(predicted.astype(np.int64), labels[scored], clusters, classes)
    return Baselines(
        kmeans=100 * scores(counts, hungarian(counts)).accuracy,
        majority=100 * float(counts.sum(0).max() / counts.sum()),
        untrained=_untrained(config, loader, seed),
    )


def _pixels(loader: Any) -> tuple[np.ndarray, np.ndarray]:
    """Colours (P, C) float32 and labels (P,) of all pixels behind the transforms."""
    colours, labels = [], []
    for batch in loader:
        inputs = batch["inputs"].movedim(1, 3)  # (B, H, W, C)
        colours.append(inputs.reshape(-1, inputs.shape[3]).float().numpy())
        labels.append(batch["gt"].flatten().numpy())
    return np.concatenate(colours), np.concatenate(labels)


@torch.inference_mode()
def _untrained(config: Config, loader: Any, seed: int) -> float:
    torch.manual_seed(seed)
    model = MODELS.build(config.model).to(get_device()).eval()
    metric = METRICS.build(config.test_evaluator)
    metric.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        metric.process(batch, model(**data, mode="predict"))
    return metric.evaluate(len(loader.dataset))["accuracy"]
