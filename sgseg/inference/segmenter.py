"""Label maps for images that nobody labelled, from a trained checkpoint or an exported model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

from ..engine.checkpoints.loading import load_checkpoint
from ..io.jsonfile import read_json
from ..io.rows import ArrayRows, Rows
from ..io.units import Units
from ..ops.matching import IGNORE
from ..ops.superpixel import labels as superpixel_labels
from ..structures import SegState
from ..training.saved import config_for, trained_model
from ..visualization import (
    captioned,
    draw_borders,
    features_as_rgb,
    overlay,
    palette,
    picture_strip,
    to_display,
)
from .classes import NO_TABLE, ClassTable, class_table
from .images import ImageLike, Reader
from .network import SMALLEST, Network, Precision, Statistics, TorchNetwork, probabilities
from .tiling import blend, enlarged, image_statistics, to_unit

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]
WHOLE = 2**20
"""Pixels at the working size above which an image is segmented in tiles, if nothing is said."""
TILE = 512
LARGEST_ENLARGED = 2**23
"""Pixels at the working size that an image is enlarged to at most."""


class Segmenter:
    """A trained model for images of any size.

    Args:
        checkpoint: ``epoch_N.pth``; read without running code in it.
        config: config file or config, for a checkpoint that carries none. Where it carries one,
            its own model is taken, and what differs is named in a warning.
        device: default a GPU if there is one.
        side: shorter side in pixels at which images are segmented; label maps come back at the
            image's own size. 0: no resizing. Default: the ``predict_side`` of the config, else 0.
        tile: images larger than ``tile`` are segmented in windows of this size (even, pixels at
            the working size) that blend; 0: never. Default: windows of 512 for images of more
            than 2**20 pixels.
        overlap: of neighbouring windows, even; default an eighth of the tile.
        compile, precision: see :class:`TorchNetwork`.
        names: of the classes, see :meth:`rename`.
        evaluation: ``eval.json`` of ``sgseg test`` on this checkpoint, for the classes of its
            clusters where the checkpoint has no evaluation of its own weights.
        overrides: arguments of :func:`build_config` that win over what the checkpoint carries.
        value_range: values of the images that stand for 0 and 1, where they are in other units
            than the images of the training.

    Attributes:
        classes: name of each value in the label maps; ``cluster_i`` where no evaluation has
            named the clusters.
        mapping: value of each cluster in the label maps.
        units: what the numbers of its training images meant.
        open: an image as rows in these units, see :meth:`Reader.open`.
        named: whether an evaluation of these very weights named the classes.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        config: str | Path | Config | None = None,
        device: str | None = None,
        side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        compile: bool = False,
        precision: Precision = "float32",
        names: str | Path | Mapping[str, str] | None = None,
        evaluation: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        value_range: Sequence[float] | None = None,
    ) -> None:
        saved = load_checkpoint(checkpoint)
        used = config_for(checkpoint, config, saved, **(overrides or {}))
        model = trained_model(used, saved, checkpoint)
        network = TorchNetwork(model, torch.device(device or get_device()), compile, precision)
        table = class_table(saved, used.model.decode_head.num_classes, evaluation)
        if not table.named and used.get("val_evaluator"):
            print_log(NO_TABLE.format(checkpoint), logger="current", level=30)
        units = (saved.get("meta") or {}).get("units")
        reader = Reader(network.bands, Units.of(units), value_range)
        side = used.get("predict_side") or 0 if side is None else side
        self._set_up(network, table, reader, side, tile, overlap, names)

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        names: str | Path | Mapping[str, str] | None = None,
        value_range: Sequence[float] | None = None,
    ) -> Segmenter:
        """A model exported by :func:`export_onnx`, run by ONNX Runtime; arguments as above.

        Raises:
            FileNotFoundError, ValueError: for a missing file, or one that sgseg did not export.
            RuntimeError: without ONNX Runtime.
        """
        from .runtime import ONNXNetwork

        network = ONNXNetwork(path)
        about = network.about
        mapping = np.asarray(about["mapping"], np.uint8)
        table = ClassTable(mapping, about["classes"], about.get("named", True))
        reader = Reader(network.bands, Units.of(about.get("units")), value_range)
        segmenter = cls.__new__(cls)
        side = about["side"] if side is None else side
        segmenter._set_up(network, table, reader, side, tile, overlap, names)
        return segmenter

    def _set_up(
        self,
        network: Network,
        table: ClassTable,
        reader: Reader,
        side: int,
        tile: int | None,
        overlap: int | None,
        names: str | Path | Mapping[str, str] | None,
    ) -> None:
        if side < 0:
            raise ValueError(f"--side {side}: a shorter side in pixels, or 0 for that of the image")
        self.network = network
        self.bands, self.units, self.open = network.bands, reader.units, reader.open
        self.mapping, self.classes, self.named = table
        self.side = side
        self.tile = tile
        self.overlap = (TILE if tile is None else tile) // 16 * 2 if overlap is None else overlap
        if names is not None:
            self.rename(names)

    def rename(self, names: str | Path | Mapping[str, str]) -> None:
        """Name the classes; those of one name become one class.

        Args:
            names: of every value of the label maps, ``{"0": "sky", "1": "grass", "2": "grass"}``,
                or a JSON file of that, as :func:`segment_folder` writes ``classes.json``.

        Raises:
            FileNotFoundError: for a missing file.
            ValueError: for no JSON, or unless exactly the values are named.
        """
        table: Any = names if isinstance(names, Mapping) else read_json(names)
        values = [str(value) for value in range(len(self.classes))]
        whole = isinstance(table, Mapping) and set(table) == set(values)
        if not whole or not all(isinstance(name, str) and name for name in table.values()):
            raise ValueError(
                f"{names}: wanted is one name for each of the {len(values)} values this model's "
                f'label maps have, {{"0": "{self.classes[0]}", ...}}'
            )
        merged = list(dict.fromkeys(table[value] for value in values))
        renumbered = np.array([merged.index(table[value]) for value in values], np.uint8)
        self.mapping, self.classes = renumbered[self.mapping], merged

    def __call__(self, image: ImageLike) -> tuple[Labels, SegState | None]:
        """Segment one image.

        Args:
            image: a path, (H, W, C) samples in the units of the training images (floats: in
                [0, 1]), rows, or a PIL image.

        Returns:
            Class of each pixel, (H, W) uint8, 255 where there is no data; and the model's state at
            its working size, None for an image that is thinner than 8 pixels there, or was
            segmented in tiles or by ONNX Runtime.

        Raises:
            ValueError: for an image of other bands or units, with nan or infinity, or so thin that
                ``side`` would make it enormous.
        """
        rows = self.open(image)
        if self.tiled(*rows.shape[:2]):
            return self.large(rows), None
        inputs = self.inputs(rows)  # (1, C, h, w)
        statistics = self._statistics(rows)
        thin = min(inputs.shape[2:]) < SMALLEST
        state = None if thin else self.network.state(inputs, statistics)
        if state is None or state.probability is None:
            return self._labels(probabilities(self.network, inputs, statistics)[0], rows), None
        return self._labels(state.probability[0], rows), state

    def batch(self, images: Sequence[ImageLike], batch_size: int = 8) -> list[Labels]:
        """Segment images, those of one size together; nothing but labels is kept.

        Args:
            images: of any kinds and sizes, see above.
            batch_size: images in memory at the working size at a time.

        Returns:
            (H, W) uint8 each, in the order of ``images``.
        """
        opened = [self.open(image) for image in images]
        labels: dict[int, Labels] = {}
        alike: dict[tuple[int, ...], list[int]] = {}  # shape -> indices
        for index, rows in enumerate(opened):
            if self.tiled(*rows.shape[:2]) or self._statistics(rows) is not None:
                labels[index] = self(rows)[0]
            else:
                alike.setdefault(rows.shape, []).append(index)
        for indices in alike.values():
            for start in range(0, len(indices), batch_size):
                part = indices[start : start + batch_size]
                inputs = torch.cat([self.inputs(opened[index]) for index in part])
                probability = probabilities(self.network, inputs)  # (B, K, h, w)
                for index, each in zip(part, probability, strict=True):
                    labels[index] = self._labels(each, opened[index])
        return [labels[index] for index in range(len(opened))]

    def tiled(self, height: int, width: int) -> bool:
        """Whether an image of this size is segmented in tiles."""
        height, width = self._working(height, width)
        if self.tile is None:
            return height * width > WHOLE
        return 0 < self.tile < max(height, width)

    def large(self, image: ImageLike) -> Labels:
        """Segment an image in tiles, read as they are needed.

        Superpixels, their graph and what a model normalises over an image are then a tile's own.

        Returns:
            (H, W) uint8.
        """
        rows = source = self.open(image)
        height, width = rows.shape[:2]
        size = self._working(height, width)
        if size != (height, width):
            source = self._shrunk(rows)
        statistics = self._statistics(rows)
        bands = blend(self.network, source, self.tile or TILE, self.overlap, statistics)
        if size != (height, width):
            bands = enlarged(bands, size[0], (height, width))
        labels, row = np.empty((height, width), np.uint8), 0
        for band in bands:
            stop = row + band.shape[1]
            labels[row:stop] = self.mapping[band.argmax(0).numpy()]
            _hide(labels[row:stop], rows.valid(row, stop))
            row = stop
        return labels

    def picture(self, image: Array, labels: Labels, state: SegState | None) -> Array:
        """Input, superpixel borders, node features and labels side by side, classes below, RGB."""
        shown = to_display(image)
        row, titles = [shown], ["input"]
        if state is not None and state.superpixels is not None and state.projected is not None:
            owner = superpixel_labels(state.superpixels.assignment)[0].cpu().numpy()
            small = to_display(state.image[0].permute(1, 2, 0).cpu().numpy())
            features = features_as_rgb(state.projected[0].float().cpu().numpy())
            row += [draw_borders(small, owner), features]
            titles += ["superpixels", "node features"]
        colours = palette(len(self.classes))
        row.append(overlay(shown, labels, colours, 0.6))
        strip = picture_strip([row], [*titles, "prediction"], side=240)
        return captioned(strip, list(zip(self.classes, colours, strict=False)), [])

    def inputs(self, rows: Rows) -> Tensor:
        """A whole image at its working size, (1, C, h, w) in [0, 1]."""
        return self._resized(to_unit(rows.rows(0, rows.shape[0]))[None])

    def _working(self, height: int, width: int) -> tuple[int, int]:
        """Size at which an image is segmented."""
        factor = self.side / min(height, width) if self.side else 1.0
        size = round(height * factor), round(width * factor)
        if factor > 1 and size[0] * size[1] > LARGEST_ENLARGED:
            raise ValueError(
                f"an image of {height} x {width} pixels would be segmented at {size[0]} x "
                f"{size[1]}, for its shorter side is brought to {self.side}; cut it, or give "
                "side=0 (--side 0) to segment it as it is"
            )
        return size

    def _resized(self, inputs: Tensor) -> Tensor:
        size = self._working(inputs.shape[2], inputs.shape[3])
        if size == inputs.shape[2:]:
            return inputs
        return F.interpolate(inputs, size, mode="bilinear", antialias=True)  # (1, C, h, w)

    def _shrunk(self, source: Rows) -> ArrayRows:
        """A whole image at its working size, one band after the other: (h, w, C) float32."""
        image = source.rows(0, source.shape[0])
        bands = (to_unit(image[:, :, c : c + 1])[None] for c in range(self.bands))
        shrunk = torch.cat([self._resized(band)[0] for band in bands]).clamp_(0, 1)  # (C, h, w)
        return ArrayRows(shrunk.permute(1, 2, 0).numpy())

    def _statistics(self, rows: Rows) -> Statistics | None:
        """Those of the valid pixels, where the model standardises and some pixels are no data."""
        height = rows.shape[0]
        parts = ((start, min(start + TILE, height)) for start in range(0, height, TILE))
        if not self.network.standardises or all(rows.valid(*part) is None for part in parts):
            return None
        return image_statistics(rows, TILE)

    def _labels(self, probability: Tensor, rows: Rows) -> Labels:
        """Classes at the image's own size of (K, h, w)."""
        size = rows.shape[:2]
        if probability.shape[1:] != size:
            probability = F.interpolate(probability[None], size, mode="bilinear")[0]
        labels: Labels = self.mapping[probability.argmax(0).cpu().numpy()]  # (H, W)
        _hide(labels, rows.valid(0, size[0]))
        return labels


def _hide(labels: Labels, valid: npt.NDArray[np.bool_] | None) -> None:
    """Give the pixels without data the value 255."""
    if valid is not None:
        labels[~valid] = IGNORE
