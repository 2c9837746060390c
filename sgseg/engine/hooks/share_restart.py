"""Start a head again whose clusters do not take the sizes that they were told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...registry import HOOKS, MODELS
from ..distributed import unwrapped
from .label_free import spread_images

META = "share_restarts"
PARTS = ("neck", "decode_head", "losses")  # a gate keeps what stage it is in


@HOOKS.register_module()
class ShareRestartHook(Hook):
    r"""Compare the clusters' sizes with the shares told to the loss; begin anew where they differ.

    No label is read: with u the sorted shares of the pixels that the predicted clusters have on
    some training images, and s the sorted ones that were told, the clusters have taken them if

    .. math:: \tfrac{1}{2} \sum_k |u_k - s_k| \le \text{tolerance}.

    Otherwise the weights of the parts that cluster are drawn anew, from the run's seed and the
    number of the restart, and the optimiser forgets them; epochs and rates go on. So a run that
    is resumed restarts where the unbroken one does. At the end the comparison is said once more.

    Args:
        tolerance: largest part of the pixels that may lie in clusters of another size.
        first: part of the run that a start is given before it is judged.
        last: part of the run after which nothing is started again.
        images: how many training images are predicted, evenly spread over the set.
        batch_size: images at a time.

    Attributes:
        restarts: epochs after which the head was started again.

    Raises:
        ValueError: for arguments out of range.
    """

    priority = "NORMAL"

    def __init__(
        self,
        tolerance: float = 0.12,
        first: float = 0.3,
        last: float = 0.5,
        images: int = 64,
        batch_size: int = 8,
    ) -> None:
        if not (0 < tolerance < 1 and 0 < first <= last <= 1) or min(images, batch_size) < 1:
            raise ValueError(
                f"ShareRestartHook: tolerance = {tolerance} must be in (0, 1), 0 < first = {first} "
                f"<= last = {last} <= 1, images = {images} and batch_size = {batch_size} >= 1"
            )
        self.tolerance = tolerance
        self.first = first
        self.last = last
        self.images = images
        self.batch_size = batch_size
        self.restarts: list[int] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the restarts of a run that goes on."""
        if runner._resume:
            self.restarts = list((checkpoint.get("meta") or {}).get(META, []))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep them with the weights."""
        checkpoint["meta"][META] = list(self.restarts)

    def after_train_epoch(self, runner: Runner) -> None:
        """Judge the start when it has had its time, and at the end of the run."""
        epoch, model = runner.epoch + 1, unwrapped(runner.model)
        shares = shares_told(model)
        wait = max(1, math.ceil(self.first * runner.max_epochs))
        due = epoch >= max(self.restarts, default=0) + wait and epoch <= self._final(runner)
        if shares is None or not (due or epoch == runner.max_epochs):
            return
        usage = usage_of(
            model, runner.train_dataloader.dataset, self.images, len(shares), self.batch_size
        )
        off = 0.5 * sum(abs(a - b) for a, b in zip(usage, shares, strict=True))
        said = (
            f"Clusters after epoch {epoch} have {_listed(usage)} of the pixels, told were "
            f"{_listed(shares)}: {off:.0%} differ"
        )
        if off <= self.tolerance:
            runner.logger.info(said)
        elif due and epoch < runner.max_epochs:
            self.restarts.append(epoch)
            runner.logger.warning(f"{said}, more than {self.tolerance:.0%}; the head starts again")
            start_again(runner, PARTS, len(self.restarts))
        else:
            runner.logger.warning(
                f"{said}, more than {self.tolerance:.0%}: look at the maps, state other shares, "
                "or try another --seed"
            )

    def _final(self, runner: Runner) -> int:
        return math.floor(self.last * runner.max_epochs)


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


def start_again(runner: Runner, parts: Sequence[str], number: int) -> None:
    """Draw the weights of some parts of the model anew; all ranks draw the same.

    Args:
        runner: its model and its optimiser's memory of these weights are changed.
        parts: names of the model's parts; those it has not are passed over.
        number: of the restart, 1 for the first.
    """
    model = unwrapped(runner.model)
    with torch.random.fork_rng():  # what the run draws from here on stays as it is
        torch.manual_seed((runner.seed or 0) + 7919 * number)
        fresh: dict[str, Tensor] = MODELS.build(runner.cfg.model).state_dict()
    for name, value in model.state_dict().items():
        if name.split(".")[0] in parts:
            value.copy_(fresh[name])
    optimizer = runner.optim_wrapper.optimizer
    for name, weight in model.named_parameters():
        if name.split(".")[0] in parts:
            optimizer.state.pop(weight, None)


def in_words(shares: Sequence[float]) -> str:
    """The sizes, as a protocol says that they were told."""
    return f"the sizes {_listed(shares)}"


def _listed(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.2f}" for share in shares)
