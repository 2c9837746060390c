"""A sampler that tells the data set epoch and seed, so that randomness needs no hidden state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from torch import Tensor

from ..registry import DATA_SAMPLERS
from .randomness import Draw


@DATA_SAMPLERS.register_module()
class DrawSampler(DefaultSampler):
    """mmengine's distributed sampler, yielding :class:`Draw` (index, epoch, seed), not an index.

    Workers are copies made once; the epoch has to travel with the index, or every epoch would
    repeat the augmentations of the first. So has the run's seed, which the data set does not know:
    its own says which images it holds.

    Every process has as many items. mmengine repeats some to get there, and so makes a step more of
    an epoch on some numbers of processes; here the remainder is left out, another each epoch. The
    order is mmengine's, but a process keeps its own items alone, four bytes each.

    Args:
        arguments, options: those of mmengine's ``DefaultSampler``.
        images: the items of an epoch over all processes. Of a larger set so many are drawn anew
            each time, of a smaller one each several times, cropped and flipped otherwise: a
            training takes as long on any folder. None: each item once.
    """

    _seen = 0

    def __init__(self, *arguments: Any, images: int | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if images is not None and (images < self.world_size or not self.round_up):
            raise ValueError(
                f"images={images}, round_up={self.round_up}: an epoch has 1 image or more for each "
                f"of {self.world_size} processes; give images=None for each image of the set once"
            )
        count = images or len(self.dataset)
        if self.round_up and count >= self.world_size:
            self.num_samples = count // self.world_size
            self.total_size = self.num_samples * self.world_size

    def skip(self, count: int) -> None:
        """Begin the next pass after this rank's first ``count`` items, seen before a restart."""
        self._seen = count

    def __iter__(self) -> Iterator[Draw]:  # type: ignore[override]
        seen, self._seen = self._seen, 0
        for position, index in enumerate(self._own()[seen:].numpy(), seen):
            again = (position * self.world_size + self.rank) // len(self.dataset)
            yield Draw(int(index), self.epoch, self.seed, again)

    def _own(self) -> Tensor:
        """This process's items of the epoch, in their order: (about total / processes,) int."""
        count = len(self.dataset)
        kind = torch.int32 if count < 2**31 else torch.int64  # the order is the same
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(count, generator=generator, dtype=kind)
        else:
            order = torch.arange(count, dtype=kind)
        if self.total_size > count:
            order = order.repeat(-(-self.total_size // count))
        return order[self.rank : self.total_size : self.world_size].clone()  # the rest is freed
