"""SegDataset: an indexable set of images, with or without labels, and its pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from ..registry import TRANSFORMS
from .randomness import Draw, isolated_randomness

TransformConfig = Mapping[str, Any]


class SegDataset(Dataset[dict[str, Any]]):
    """Base of all data sets. A subclass defines ``__len__`` and ``load``.

    ``dataset[i]`` loads item i and runs the transforms over it. Whatever they draw from
    ``random``, ``numpy.random`` or torch is a function of (seed, epoch, index): neither the
    number of workers nor a restart changes it.

    Args:
        classes: class names; empty for a set without labels.
        transforms: configs, default ``[PackInputs]``.
        seed: of the transforms' randomness.
    """

    def __init__(
        self,
        classes: Sequence[str] = (),
        transforms: Sequence[TransformConfig] | None = None,
        seed: int = 0,
    ) -> None:
        self.classes = tuple(classes)
        self.seed = seed
        configs = [dict(type="PackInputs")] if transforms is None else transforms
        self.transforms = [TRANSFORMS.build(config) for config in configs]
        self.described = [_describe(config) for config in configs]

    @property
    def metainfo(self) -> dict[str, Any]:
        """What hooks and metrics may know: class names and protocol, as plain values."""
        return dict(classes=list(self.classes), protocol=self.protocol())

    def protocol(self) -> dict[str, Any]:
        """What a score on this set depends on; subclasses add which items it holds."""
        return dict(dataset=type(self).__name__, items=len(self), transforms=self.described)

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """Item ``index``: ``img`` (H, W, C), optionally ``gt_seg_map`` (H, W), and ``name``."""
        raise NotImplementedError

    def __getitem__(self, draw: int | Draw) -> dict[str, Any]:
        index, epoch = draw if isinstance(draw, tuple) else (int(draw), 0)
        if not 0 <= index < len(self):
            raise IndexError(f"{type(self).__name__} has {len(self)} items, asked for {index}")
        results = self.load(index)
        results.update(index=index, img_shape=results["img"].shape[:2])
        with isolated_randomness(self.seed, epoch, index):
            for transform in self.transforms:
                results = transform(results)
        return results


def _describe(config: TransformConfig) -> str:
    """A transform as text, for example ``CropTo(size=128)``."""
    kind = config["type"]
    name = kind if isinstance(kind, str) else kind.__name__
    arguments = ", ".join(f"{key}={value!r}" for key, value in config.items() if key != "type")
    return f"{name}({arguments})"
