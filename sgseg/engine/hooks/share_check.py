"""Say whether the clusters of a run have the sizes that it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..distributed import unwrapped
from .label_free import spread_images


@HOOKS.register_module()
class ShareCheckHook(Hook):
    r"""Compare the clusters' sizes with the shares told to the loss, after the last epoch.

    No label is read: with u the sorted shares of the pixels that the predicted clusters have on
    some training images, and s the sorted ones that were told, the clusters have taken them if

    .. math:: \tfrac{1}{2} \sum_k |u_k - s_k| \le \text{tolerance}.

    Args:
        tolerance: largest part of the pixels that may lie in clusters of another size.
        images: how many training images are predicted, evenly spread over the set.
        batch_size: images at a time.

    Raises:
        ValueError: for arguments out of range.
    """

    priority = "NORMAL"

    def __init__(self, tolerance: float = 0.15, images: int = 64, batch_size: int = 8) -> None:
        if not 0 < tolerance < 1 or min(images, batch_size) < 1:
            raise ValueError(
                f"ShareCheckHook: tolerance = {tolerance} must be in (0, 1), images = {images} "
                f"and batch_size = {batch_size} >= 1"
            )
        self.tolerance = tolerance
        self.images = images
        self.batch_size = batch_size

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare at the end of the run."""
        model = unwrapped(runner.model)
        shares = shares_told(model)
        if shares is None or runner.epoch + 1 < runner.max_epochs:
            return
        usage = usage_of(
            model, runner.train_dataloader.dataset, self.images, len(shares), self.batch_size
        )
        off = 0.5 * sum(abs(a - b) for a, b in zip(usage, shares, strict=True))
        said = (
            f"Clusters have {_listed(usage)} of the pixels, told were {_listed(shares)}: "
            f"{off:.0%} differ"
        )
        if off <= self.tolerance:
            runner.logger.info(said)
        else:
            runner.logger.warning(
                f"{said}, more than {self.tolerance:.0%}: look at the maps, state other shares, "
                "or try another --seed"
            )


def shares_told(model: Any) -> tuple[float, ...] | None:
    """The shares that a loss of the model was told, the largest first; None without."""
    told = (getattr(term, "shares", None) for term in getattr(model, "losses", {}).values())
    return next((tuple(shares) for shares in told if shares is not None), None)


@torch.no_grad()
def usage_of(
    model: Any, dataset: Any, images: int, classes: int, batch_size: int = 8
) -> tuple[float, ...]:
    """Part of the pixels that each of K predicted clusters has, the largest first, over all ranks.

    The images are those of :func:`.spread_images`.
    """
    sizes = torch.zeros(classes, dtype=torch.float64)
    for inputs in spread_images(model, dataset, images, batch_size):
        clusters = model.probability(inputs).argmax(1)  # (B, H, W)
        sizes += torch.bincount(clusters.flatten(), minlength=classes).double().cpu()
    all_reduce(sizes)
    return tuple((sizes / sizes.sum()).sort(descending=True).values.tolist())


def in_words(shares: Sequence[float]) -> str:
    """The sizes, as a protocol says that they were told."""
    return f"the sizes {_listed(shares)}"


def _listed(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.2f}" for share in shares)
