"""K-Means on features of the training set, for methods whose classes are nearest centres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from ...ops.sampling import at_pixels
from ...registry import HOOKS
from ..distributed import failing_together, unwrapped


@torch.no_grad()
def sample_features(
    model: Any, batches: Iterable[Mapping[str, Any]], pixels_per_image: int, seed: int
) -> Tensor:
    """Features of random pixels, those of ``mask`` only where a batch holds one.

    Args:
        model: with ``features``; put into evaluation mode and left there.
        batches: collated items.
        pixels_per_image: at most so many of each image.
        seed: of the choice.

    Returns:
        (P, D) float32 on the CPU.
    """
    model.eval()
    rng = np.random.default_rng(seed)
    samples = []
    for batch in batches:
        data = model.data_preprocessor(dict(batch), False)
        feature, size = model.features(data["inputs"]), tuple(data["inputs"].shape[2:])
        masks = data["mask"] if "mask" in data else [None] * len(feature)
        for single, mask in zip(feature, masks, strict=True):
            pixels = _draw_pixels(size, mask, pixels_per_image, rng).to(feature.device)
            if len(pixels):
                samples.append(at_pixels(single[None], pixels[None], size)[0].T.float().cpu())
    if not samples:
        raise ValueError(
            "There is no pixel to cluster: every image is masked out, or the loader gives none "
            "because the set is smaller than a batch"
        )
    return torch.cat(samples)  # (P, D)


def _draw_pixels(
    size: tuple[int, int], mask: Tensor | None, count: int, rng: np.random.Generator
) -> Tensor:
    """Rows and columns of at most ``count`` pixels, (P, 2)."""
    inside = np.ones(size, bool) if mask is None else mask.cpu().numpy()
    candidates = np.flatnonzero(inside)
    chosen = rng.choice(candidates, min(count, len(candidates)), replace=False)
    return torch.from_numpy(np.stack(np.divmod(chosen, size[1]), 1))


def fit_centres(samples: Tensor, clusters: int, seed: int) -> Tensor:
    """Centres of K-Means, (K, D): scikit-learn's MiniBatchKMeans, k-means++, three starts.

    Raises:
        ValueError: for fewer samples than clusters.
    """
    if len(samples) < clusters:
        raise ValueError(f"K-Means: {len(samples)} pixels for {clusters} clusters; sample more")
    kmeans = MiniBatchKMeans(clusters, n_init=3, random_state=seed, batch_size=1024 * clusters)
    return torch.from_numpy(kmeans.fit(samples.numpy()).cluster_centers_)


@HOOKS.register_module()
class ClusterFeaturesHook(Hook):
    """Fit the centres of a ``CentroidHead`` to features of the training set.

    It does so after every ``interval``-th epoch and the last, before the evaluation, so the
    centres lie in the checkpoint of that epoch and in all that follow. Images come from the
    training loader; with several processes each samples its own share, rank 0 fits and all
    receive the centres.

    Args:
        pixels: how many are sampled, over all images and ranks; 10^6 for K-Means on colours.
        interval: epochs between two fits; None fits after the last epoch alone.

    Raises:
        ValueError: if an argument is below 1.
    """

    # Before the checkpoint hook, which saves an epoch that is not evaluated at once.
    priority = "NORMAL"

    def __init__(self, pixels: int = 1_000_000, interval: int | None = 1) -> None:
        if min(x for x in (pixels, interval) if x is not None) < 1:
            raise ValueError(
                f"ClusterFeaturesHook: pixels = {pixels} and interval = {interval} must be >= 1"
            )
        self.pixels = pixels
        self.interval = interval

    def after_train_epoch(self, runner: Runner) -> None:
        """Sample, fit, and hand the centres to the head."""
        epoch = runner.epoch + 1
        due = self.interval is not None and epoch % self.interval == 0
        if not due and epoch != runner.max_epochs:
            return
        model = unwrapped(runner.model)
        loader = runner.train_dataloader
        share = -(-self.pixels // (len(loader.sampler) * get_world_size()))
        # Seeded with the rank, or all ranks would take the same pixels of their images.
        with failing_together():
            samples = sample_features(model, loader, share, model.draws.seed + get_rank())
        head = model.decode_head
        centres = head.centres.detach().clone()
        gathered = _gather(samples.to(centres.device))
        with failing_together():
            if get_rank() == 0:
                centres.copy_(fit_centres(gathered.cpu(), len(centres), model.draws.seed))
        broadcast(centres, src=0)
        head.set_centres(centres)
        runner.logger.info(f"K-Means: {len(centres)} centres from {len(gathered)} pixels")


def _gather(samples: Tensor) -> Tensor:
    """The samples of all ranks, which may hold unequal numbers."""
    counts = [int(count) for count in all_gather(torch.tensor([len(samples)]))]
    padded = samples.new_zeros(max(counts), samples.shape[1])
    padded[: len(samples)] = samples
    parts = all_gather(padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
