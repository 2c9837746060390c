"""A sampler that tells the data set epoch and seed, so that randomness needs no hidden state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mmengine.dataset import DefaultSampler

from ..registry import DATA_SAMPLERS
from .randomness import Draw


@DATA_SAMPLERS.register_module()
class DrawSampler(DefaultSampler):
    """mmengine's distributed sampler, yielding :class:`Draw` (index, epoch, seed), not an index.

    Workers are copies made once; the epoch has to travel with the index, or every epoch would
    repeat the augmentations of the first. So has the run's seed, which the data set does not know:
    its own says which images it holds.
    """

    _seen = 0

    def skip(self, count: int) -> None:
        """Begin the next pass behind this rank's first ``count`` items, seen before a restart."""
        self._seen = count

    def __iter__(self) -> Iterator[Draw]:  # type: ignore[override]
        seen, self._seen = self._seen, 0
        for index in islice(super().__iter__(), seen, None):
            yield Draw(index, self.epoch, self.seed)
