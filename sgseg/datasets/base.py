"""SegDataset: an indexable set of images, with or without labels, and its pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from ..io.badfile import BadFileError
from ..io.units import Units
from ..registry import TRANSFORMS
from .randomness import Draw, isolated_randomness
from .transforms import carry_valid

TransformConfig = Mapping[str, Any]


class SegDataset(Dataset[dict[str, Any]]):
    """Base of all data sets. A subclass defines ``__len__`` and ``load``.

    ``dataset[i]`` loads item i and runs the transforms over it. Whatever they draw from
    ``random``, ``numpy.random`` or torch is a function of the set's seed and the run's, epoch and
    index: neither the number of workers nor a restart changes it.

    Args:
        classes: class names; empty for a set without labels.
        transforms: configs, default ``[PackInputs]``.
        seed: of the transforms' randomness, beside the run's own seed (``Draw``).
        max_bad_images: in training, so many unreadable images are replaced by the next one
            before the run stops; 0 stops at the first. Never where labels are packed, for an
            evaluation skips nothing.
        applied: transforms that were run before the items were stored (a prepared cache), as text;
            the pipeline must begin with them, and they are not run again.

    Raises:
        ValueError: for ``max_bad_images`` in a pipeline with labels, or a pipeline that does not
            begin with ``applied``.
    """

    units: Units = Units()
    """Type and range of the images' samples, as they lie on disk."""

    def __init__(
        self,
        classes: Sequence[str] = (),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
        max_bad_images: int = 0,
        applied: Sequence[str] = (),
    ) -> None:
        self.classes = tuple(classes)
        self.seed = seed
        configs = [dict(type="PackInputs")] if transforms is None else transforms
        self.described = [*(applied if transforms is None else ())]
        self.described += [describe(config) for config in configs]
        if self.described[: len(applied)] != list(applied):
            raise ValueError(
                f"{type(self).__name__}: the cache was prepared with {' -> '.join(applied)}, this "
                f"config begins with {' -> '.join(self.described[: len(applied)])}: prepare "
                "another cache for it, or take the config it was prepared for"
            )
        rest = configs if transforms is None else configs[len(applied) :]
        self.transforms = [TRANSFORMS.build(config) for config in rest]
        self.max_bad_images = max_bad_images
        if max_bad_images:
            if any(getattr(transform, "with_labels", False) for transform in self.transforms):
                raise ValueError(
                    f"{type(self).__name__}: max_bad_images = {max_bad_images} with labels "
                    "packed; an evaluation skips nothing. Set it in the training set only"
                )
            # Shared memory: worker processes mark what the main process reports.
            self._bad = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    @property
    def metainfo(self) -> dict[str, Any]:
        """What hooks and metrics may know: class names and protocol, as plain values."""
        return dict(classes=list(self.classes), protocol=self.protocol(), subsets=self.subsets())

    @property
    def bad_images(self) -> list[str]:
        """Names of the unreadable images that were replaced so far, by any worker."""
        if not self.max_bad_images:
            return []
        return [self.name(int(index)) for index in self._bad.nonzero()]

    def subsets(self) -> dict[str, tuple[int, int]]:
        """Parts to score on their own too, in the same evaluation: name -> first and end index."""
        return {}

    def name(self, index: int) -> str:
        """What item ``index`` is called, without reading it."""
        return str(index)

    def protocol(self) -> dict[str, Any]:
        """What a score on this set depends on; subclasses add which items it holds."""
        return dict(dataset=type(self).__name__, items=len(self), transforms=self.described)

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """Item ``index``: ``img`` (H, W, C), ``name``, optionally ``gt_seg_map`` (H, W).

        Where pixels may be no data, in every item of the set ``valid`` (H, W) bool as well.
        """
        raise NotImplementedError

    def __getitem__(self, draw: int | Draw) -> dict[str, Any]:
        index, epoch, seed, again = draw if isinstance(draw, tuple) else Draw(int(draw))
        if not 0 <= index < len(self):
            raise IndexError(f"{type(self).__name__} has {len(self)} items, asked for {index}")
        index, results = self._load_or_next(index)
        results.update(index=index, img_shape=results["img"].shape[:2])
        carry_valid(results)
        with isolated_randomness(self.seed, seed, epoch, index, again):
            for transform in self.transforms:
                results = transform(results)
        return results

    def _load(self, index: int) -> dict[str, Any]:
        """What the pipeline gets; a subclass may leave out what its pipeline drops."""
        return self.load(index)

    def _load_or_next(self, index: int) -> tuple[int, dict[str, Any]]:
        """Item ``index``, or the next readable one as long as ``max_bad_images`` allows."""
        while True:
            try:
                return index, self._load(index)
            except BadFileError as error:
                if not self.max_bad_images:
                    raise
                self._bad[index] = 1
                count = int(self._bad.sum())
                if count > self.max_bad_images:
                    raise BadFileError(
                        error.path,
                        f"{error.fault}. It is bad image number {count}, max_bad_images = "
                        f"{self.max_bad_images}; the others: {', '.join(self.bad_images)}",
                        error.kind,
                    ) from error
                index = (index + 1) % len(self)


def describe(config: TransformConfig) -> str:
    """A transform as text, for example ``CropTo(size=128)``."""
    kind = config["type"]
    name = kind.rsplit(".", 1)[-1] if isinstance(kind, str) else kind.__name__
    arguments = ", ".join(f"{key}={value!r}" for key, value in config.items() if key != "type")
    return f"{name}({arguments})"
