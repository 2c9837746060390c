"""Transforms that mmcv does not have; all of mmcv's own can stand beside them in a pipeline.

A transform takes and gives a dict: ``img`` (H, W, C), ``gt_seg_map`` (H, W) if there are labels,
``img_shape``, ``index``, ``name``. Images are averaged over the area when they shrink, unless a
transform says otherwise; labels take the nearest pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from ..io.units import unit_floats
from ..ops.matching import IGNORE
from ..registry import TRANSFORMS

_NODATA = IGNORE + 1
"""What pixels without data hold in the label map on the way through the transforms."""


def carry_valid(results: dict[str, Any]) -> None:
    """Put ``valid`` into the label map, which every transform moves as it moves the image.

    :class:`PackInputs` takes it out again. An image without labels gets a map for that.
    """
    valid = results.pop("valid", None)
    if valid is None:
        return
    results["carries_valid"] = True
    results["unlabelled"] = "gt_seg_map" not in results
    labels = results.get("gt_seg_map", np.zeros(valid.shape, np.uint8))
    results["gt_seg_map"] = np.where(valid, labels.astype(np.int16), np.int16(_NODATA))


def resize(
    results: dict[str, Any], height: int, width: int, factor: float | None = None
) -> dict[str, Any]:
    """Resize image and labels in place to ``height`` x ``width`` pixels.

    With a ``factor`` as IIC does: bilinear and nearest, at pixels that lie the factor apart.
    """
    import cv2

    image = results["img"]
    shrinks = height * width < image.shape[0] * image.shape[1]
    how, nearest = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR, cv2.INTER_NEAREST_EXACT
    to: dict[str, Any] = dict(dsize=(width, height))
    if factor is not None:
        how, nearest = cv2.INTER_LINEAR, cv2.INTER_NEAREST
        to = dict(dsize=None, fx=factor, fy=factor)
    resized = cv2.resize(image, interpolation=how, **to)
    results["img"] = resized.reshape(height, width, image.shape[2])  # cv2 drops a single band
    if "gt_seg_map" in results:
        results["gt_seg_map"] = cv2.resize(results["gt_seg_map"], interpolation=nearest, **to)
    results["img_shape"] = (height, width)
    return results


@TRANSFORMS.register_module()
class Rescale(BaseTransform):
    """Scale both sides by one factor; 0.33 is IIC's for COCO-Stuff, 0.5 for Potsdam tiles.

    Args:
        factor: > 0.
        interpolation: ``area`` averages when shrinking. ``bilinear`` is what IIC does (OpenCV's
            INTER_LINEAR and, for labels, INTER_NEAREST, both from the factor itself): the pixels
            that the published numbers are on.
    """

    def __init__(self, factor: float, interpolation: str = "area") -> None:
        if factor <= 0:
            raise ValueError(f"Rescale: factor = {factor}; must be > 0")
        if interpolation not in ("area", "bilinear"):
            raise ValueError(
                f"Rescale: interpolation = {interpolation!r}; choose 'area' or 'bilinear'"
            )
        self.factor = factor
        self.interpolation = interpolation

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize by the factor, to at least one pixel."""
        height, width = (max(1, round(side * self.factor)) for side in results["img"].shape[:2])
        bilinear = self.interpolation == "bilinear" and 1 not in (height, width)
        return resize(results, height, width, self.factor if bilinear else None)


@TRANSFORMS.register_module()
class ResizeWhole(BaseTransform):
    """Squeeze the whole image to a square of ``size`` pixels a side; proportions change.

    The other reading of "resized to 128 x 128": a crop shows about half of a COCO image.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"ResizeWhole: size = {size}; must be >= 1")
        self.size = size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize to (size, size)."""
        return resize(results, self.size, self.size)


@TRANSFORMS.register_module()
class ResizeShortest(BaseTransform):
    """Scale so that the shorter side has ``size`` pixels; proportions stay.

    Args:
        size: of the shorter side.
        keep_rasters: leave images with a georeference (``georeferenced``) at their resolution, for
            a pixel of theirs is a length on the ground; smaller ones than ``size`` are enlarged.
    """

    def __init__(self, size: int, keep_rasters: bool = False) -> None:
        if size < 1:
            raise ValueError(f"ResizeShortest: size = {size}; must be >= 1")
        self.size = size
        self.keep_rasters = keep_rasters

    def factor(self, height: int, width: int, georeferenced: bool = False) -> float:
        """What both sides of an image are multiplied by."""
        factor = self.size / min(height, width)
        return 1.0 if factor < 1 and georeferenced and self.keep_rasters else factor

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize to the shorter side."""
        height, width = results["img"].shape[:2]
        factor = self.factor(height, width, results.get("georeferenced", False))
        if factor == 1:
            return results
        return resize(results, round(height * factor), round(width * factor))


@TRANSFORMS.register_module()
class CropTo(BaseTransform):
    """Cut a square, at random or from the middle; a smaller image is padded with 0 on all
    sides, its labels with 255.

    Padding and a crop from the middle put the image's middle pixel, number floor(side / 2), onto
    the square's.

    Args:
        size: side in pixels.
        random: a random place (training) instead of the middle (scoring).

    Source: IIC, ``pad_and_or_crop``.
    """

    def __init__(self, size: int, random: bool = False) -> None:
        if size < 1:
            raise ValueError(f"CropTo: size = {size}; must be >= 1")
        self.size = size
        self.random = random

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop or pad to (size, size)."""
        top, left = (self._start(side) for side in results["img"].shape[:2])
        window = np.s_[top : top + self.size, left : left + self.size]
        results["img"] = self._pad(results["img"][window], 0)
        if "gt_seg_map" in results:
            results["gt_seg_map"] = self._pad(results["gt_seg_map"][window], IGNORE)
        results["img_shape"] = (self.size, self.size)
        return results

    def _start(self, side: int) -> int:
        """Where the window begins on a side of the image."""
        if self.random:
            return int(np.random.randint(max(side - self.size, 0) + 1))
        return max(side // 2 - self.size // 2, 0)

    def _pad(self, array: np.ndarray, value: int) -> np.ndarray:
        height, width = array.shape[:2]
        if (height, width) == (self.size, self.size):
            return array
        top, left = (self.size // 2 - side // 2 for side in (height, width))
        padded = np.full((self.size, self.size, *array.shape[2:]), value, array.dtype)
        padded[top : top + height, left : left + width] = array
        return padded


@TRANSFORMS.register_module()
class Sobel(BaseTransform):
    """Image gradients as channels, the input of IIC and of its baselines on COCO-Stuff.

    dx and dy are the responses of grey (in [0, 1]) to [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and
    its transpose, the border padded with zeros. They have signs, so this comes after every
    flip and crop; and the model needs ``standardise="none"`` or ``"image"``, whose [0, 1] scale
    holds for the colours alone.

    Shapes: ``img`` (H, W, 3) uint8 or float in [0, 1] -> float32 (H, W, 5), or (H, W, 2).

    Args:
        include_rgb: keep R, G, B in front of dx, dy.

    Source: IIC, ``sobel_process`` and ``custom_greyscale_numpy``.
    """

    def __init__(self, include_rgb: bool = True) -> None:
        self.include_rgb = include_rgb

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Append dx and dy.

        Raises:
            ValueError: for another number of bands than three.
        """
        import cv2

        image = results["img"]
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"Sobel: expected R, G, B, got an image of {image.shape}")
        grey = unit_floats(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        kernel = np.outer((1, 2, 1), (1, 0, -1)).astype(np.float32)
        border = cv2.BORDER_CONSTANT
        gradients = [
            cv2.filter2D(grey, cv2.CV_32F, weights, borderType=border)
            for weights in (kernel, np.ascontiguousarray(kernel.T))
        ]
        channels = [*np.moveaxis(unit_floats(image), 2, 0)] if self.include_rgb else []
        results["img"] = np.stack([*channels, *gradients], 2)  # (H, W, 5 or 2)
        return results


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """The last step: arrays to tensors that torch's default collate can stack.

    Args:
        with_labels: also pack ``gt``. Training pipelines leave it off, so that labels cannot
            reach the loss.
        loss_mask: ``labelled`` also packs ``mask``, true where a pixel has a label, but not
            which: IIC and its baselines leave things and unlabelled pixels of COCO-Stuff out of
            their losses. That is a use of labels. ``all`` packs none.

    Raises:
        ValueError: for another ``loss_mask``, and ``labelled`` on an image without labels.
    """

    def __init__(self, with_labels: bool = False, loss_mask: str = "all") -> None:
        if loss_mask not in ("all", "labelled"):
            raise ValueError(f"PackInputs: loss_mask = {loss_mask!r}; choose 'all' or 'labelled'")
        self.with_labels = with_labels
        self.loss_mask = loss_mask

    @property
    def needs_labels(self) -> bool:
        """Whether label maps have to be read at all."""
        return self.with_labels or self.loss_mask == "labelled"

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """``inputs`` (C, H, W), ``index``, and what else was asked for.

        ``gt`` (H, W) int64 where known, ``mask`` (H, W) bool, ``regions`` (H, W) int64 after
        :class:`SLICRegions`; ``valid`` (H, W) bool in a set some of whose pixels are no data.
        """
        image = np.atleast_3d(results["img"]).transpose(2, 0, 1)  # (C, H, W)
        packed = dict(inputs=torch.from_numpy(np.ascontiguousarray(image)), index=results["index"])
        labels = results.get("gt_seg_map")
        if results.get("carries_valid"):
            carried = results["gt_seg_map"]
            packed["valid"] = torch.from_numpy(carried != _NODATA)
            labels = None if results["unlabelled"] else np.minimum(carried, IGNORE)
        if self.with_labels and labels is not None:
            packed["gt"] = torch.from_numpy(labels.astype(np.int64))
        if self.loss_mask == "labelled":
            if labels is None:
                raise ValueError(
                    f"PackInputs: {results.get('name', 'this image')} has no labels to mask the "
                    "loss with: set loss_mask='all'"
                )
            packed["mask"] = torch.from_numpy(labels != IGNORE)
        if "regions" in results:
            packed["regions"] = torch.from_numpy(results["regions"])
        return packed


@TRANSFORMS.register_module()
class SLICRegions(BaseTransform):
    """SLIC superpixels of the image as it stands, for methods that learn on regions.

    It comes after every crop and flip. Three bands are compared in CIELAB, others as they are.

    Args:
        regions: how many are asked for; SLIC gives about so many.
        compactness: weight of place against colour.

    Raises:
        ValueError: for fewer than one region.
    """

    def __init__(self, regions: int = 200, compactness: float = 10.0) -> None:
        if regions < 1:
            raise ValueError(f"SLICRegions: regions = {regions} must be >= 1")
        self.regions = regions
        self.compactness = compactness

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``regions``, (H, W) int64 from 0."""
        from skimage.segmentation import slic

        image = np.atleast_3d(results["img"])
        results["regions"] = slic(
            image,
            n_segments=self.regions,
            compactness=self.compactness,
            start_label=0,
            convert2lab=image.shape[2] == 3,
        ).astype(np.int64)
        return results
