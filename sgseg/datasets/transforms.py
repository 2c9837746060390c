"""Transforms that mmcv does not have; all of mmcv's own can stand beside them in a pipeline.

A transform takes and gives a dict: ``img`` (H, W, C), ``gt_seg_map`` (H, W) if there are labels,
``img_shape``, ``index``, ``name``. Images are averaged over the area when they shrink; labels
take the nearest pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from ..ops.matching import IGNORE
from ..registry import TRANSFORMS


def resize(results: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Resize image and labels in place to ``height`` x ``width`` pixels."""
    import cv2

    image = results["img"]
    shrinks = height * width < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=how)
    results["img"] = resized.reshape(height, width, image.shape[2])  # cv2 drops a single band
    if "gt_seg_map" in results:
        results["gt_seg_map"] = cv2.resize(
            results["gt_seg_map"], (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
    results["img_shape"] = (height, width)
    return results


@TRANSFORMS.register_module()
class Rescale(BaseTransform):
    """Scale both sides by one factor; 0.33 is IIC's for COCO-Stuff, 0.5 for Potsdam tiles."""

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f"Rescale: factor = {factor}; must be > 0")
        self.factor = factor

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize by the factor, to at least one pixel."""
        height, width = (max(1, round(side * self.factor)) for side in results["img"].shape[:2])
        return resize(results, height, width)


@TRANSFORMS.register_module()
class ResizeShortest(BaseTransform):
    """Scale so that the shorter side has ``size`` pixels; proportions stay."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"ResizeShortest: size = {size}; must be >= 1")
        self.size = size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize to the shorter side."""
        height, width = results["img"].shape[:2]
        factor = self.size / min(height, width)
        return resize(results, round(height * factor), round(width * factor))


@TRANSFORMS.register_module()
class CropTo(BaseTransform):
    """Cut a square, at random or from the middle; a smaller image is padded.

    Args:
        size: side in pixels.
        random: a random place (training) instead of the middle (scoring).
        pad: value for the image's missing pixels; those of the labels are ignored.
    """

    def __init__(self, size: int, random: bool = False, pad: int = 0) -> None:
        if size < 1:
            raise ValueError(f"CropTo: size = {size}; must be >= 1")
        self.size = size
        self.random = random
        self.pad = pad

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop or pad to (size, size)."""
        height, width = results["img"].shape[:2]
        room = max(height - self.size, 0), max(width - self.size, 0)
        if self.random:
            top, left = (int(np.random.randint(free + 1)) for free in room)
        else:
            top, left = room[0] // 2, room[1] // 2
        window = np.s_[top : top + self.size, left : left + self.size]
        results["img"] = self._pad(results["img"][window], self.pad)
        if "gt_seg_map" in results:
            results["gt_seg_map"] = self._pad(results["gt_seg_map"][window], IGNORE)
        results["img_shape"] = (self.size, self.size)
        return results

    def _pad(self, array: np.ndarray, value: int) -> np.ndarray:
        missing = [(0, self.size - side) for side in array.shape[:2]]
        missing += [(0, 0)] * (array.ndim - 2)
        return np.pad(array, missing, constant_values=value)


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """The last step: arrays to tensors that torch's default collate can stack.

    Args:
        with_labels: also pack ``gt``. Training pipelines leave it off, so that labels cannot
            reach the loss.
    """

    def __init__(self, with_labels: bool = False) -> None:
        self.with_labels = with_labels

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """``inputs`` (C, H, W), ``index``, and ``gt`` (H, W) int64 where asked for and known."""
        image = np.atleast_3d(results["img"]).transpose(2, 0, 1)  # (C, H, W)
        packed = dict(inputs=torch.from_numpy(np.ascontiguousarray(image)), index=results["index"])
        if self.with_labels and "gt_seg_map" in results:
            packed["gt"] = torch.from_numpy(results["gt_seg_map"].astype(np.int64))
        return packed
