"""Label maps for images that nobody labelled, from a trained checkpoint or an exported model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

from ..engine.checkpoints.loading import load_checkpoint
from ..engine.checkpoints.newest import checkpoint_of
from ..engine.checkpoints.portable import config_as_data
from ..io.digest import short_digest, weights_sha256
from ..io.jsonfile import read_json
from ..io.rows import Rows
from ..io.units import Units
from ..ops.matching import IGNORE
from ..structures import SegState
from ..training.saved import config_for, trained_model
from ..visualization import class_colours
from .classes import NO_TABLE, ClassTable, class_table
from .images import ImageLike, Reader, are_many, is_raster
from .network import SMALLEST, Network, Precision, Statistics, TorchNetwork, probabilities
from .result import Segmentation
from .splits import name_table
from .tiling import blend, enlarged, image_statistics, resized, shrunk, to_unit
from .working_size import WorkingSize

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]
WHOLE = 2**20
"""Pixels at the working size above which an image is segmented in tiles, if nothing is said."""
TILE = 512
TOGETHER = 8
"""Images that are segmented at once."""
Names = str | Path | Mapping[str, str]
Told = Callable[[int, int], None]
"""Called with the rows of an image that are done, and all of them."""


class Segmenter:
    """A trained model for images of any size.

    Args:
        checkpoint: ``epoch_N.pth``, or the work dir of a training, whose newest is taken; read
            without running code in it.
        config: config file or config, for a checkpoint that carries none. Where it carries one,
            its own model is taken, and what differs is named in a warning.
        device: default a GPU if there is one.
        side: shorter side in pixels at which images are segmented; label maps come back at the
            image's own size. 0: no resizing. Default: the ``predict_side`` of the config, else 0;
            for a raster with a georeference the scale of the training.
        scale: instead of ``side``, a part of each image's own size.
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
        palette: colours of classes, see :func:`.class_colours`; or a JSON file of that.

    Attributes:
        classes: name of each value in the label maps; ``cluster_i`` where no evaluation has
            named the clusters.
        colours: (256, 3) colour of each value.
        mapping: value of each cluster in the label maps.
        size: the rule for the size at which an image is segmented.
        identity: digest of what the maps depend on beside the arguments above.
        units: what the numbers of its training images meant.
        open: an image as rows in these units, see :meth:`Reader.open`.
        named: whether an evaluation of these very weights named the classes.
        weights: digest of the checkpoint's weights; empty for an exported model.
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
        names: Names | None = None,
        evaluation: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        value_range: Sequence[float] | None = None,
        scale: float | None = None,
        palette: Names | None = None,
    ) -> None:
        checkpoint = checkpoint_of(checkpoint)
        saved = load_checkpoint(checkpoint)
        used = config_for(checkpoint, config, saved, **(overrides or {}))
        model = trained_model(used, saved, checkpoint)
        network = TorchNetwork(model, torch.device(device or get_device()), compile, precision)
        table = class_table(saved, used.model.decode_head.num_classes, evaluation)
        if not table.named and used.get("val_evaluator"):
            print_log(NO_TABLE.format(checkpoint), logger="current", level=30)
        meta = saved.get("meta") or {}
        reader = Reader(network.bands, Units.of(meta.get("units")), value_range)
        usual, trained = used.get("predict_side") or 0, meta.get("scale", 1.0)
        size = WorkingSize.checked(usual, trained, side, scale)
        described = json.dumps(config_as_data(used)["model"], sort_keys=True, default=str)
        self.weights = weights_sha256(saved["state_dict"])
        self.identity = short_digest(self.weights + described + precision)
        self._set_up(network, table, reader, size, tile, overlap, names, palette)

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        names: Names | None = None,
        value_range: Sequence[float] | None = None,
        scale: float | None = None,
        palette: Names | None = None,
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
        size = WorkingSize.checked(about["side"], about.get("scale", 1.0), side, scale)
        segmenter.weights, segmenter.identity = "", short_digest(Path(path).read_bytes())
        segmenter._set_up(network, table, reader, size, tile, overlap, names, palette)
        return segmenter

    def _set_up(
        self,
        network: Network,
        table: ClassTable,
        reader: Reader,
        size: WorkingSize,
        tile: int | None,
        overlap: int | None,
        names: Names | None,
        palette: Names | None,
    ) -> None:
        self.network = network
        self.bands, self.units, self.open = network.bands, reader.units, reader.open
        self.value_range = reader.value_range
        self.mapping, self.classes, self.named = table
        self.size = size
        self.tile = tile
        self.overlap = (TILE if tile is None else tile) // 16 * 2 if overlap is None else overlap
        if names is not None:
            self.rename(names)
        own: Any = read_json(palette) if isinstance(palette, (str, Path)) else palette
        self.palette: Mapping[str, str] = dict(own or {})
        class_colours(self.classes, self.palette)  # refuses one that does not fit

    def __repr__(self) -> str:
        return f"Segmenter of {len(self.classes)} classes ({', '.join(self.classes)})"

    @property
    def colours(self) -> Labels:
        """Colour of each value, (256, 3); it goes with the name."""
        return class_colours(self.classes, self.palette)

    @property
    def side(self) -> int:
        """Shorter side at which an image that is no raster is segmented; 0: its own."""
        return self.size.usual if self.size.side is None else self.size.side

    def rename(self, names: Names) -> None:
        """Name the classes; those of one name become one class, a split cluster several.

        Args:
            names: of every value of the label maps, ``{"0": "sky", "1": "grass", "2": "grass"}``,
                or a JSON file as ``sgseg predict`` and ``sgseg name`` write it.

        Raises:
            FileNotFoundError, ValueError: see :func:`.name_table` and :class:`.SplitNetwork`.
        """
        table = name_table(names, self.classes, self.weights)
        parts = table.applied(self.network, self.mapping, len(self.classes))
        self.network, self.mapping, self.classes = parts
        if table.splits:
            self.identity = short_digest(self.identity + str(table.as_json()["splits"]))

    @overload
    def __call__(self, image: str | Path | Array | Rows) -> Segmentation: ...
    @overload
    def __call__(self, image: Iterable[Any]) -> Iterator[Segmentation]: ...
    @overload
    def __call__(self, image: Any) -> Any: ...
    def __call__(self, image: Any) -> Any:
        """Segment one image, or many.

        Args:
            image: a path, (H, W, C) samples in the units of the training images (floats: in
                [0, 1]), rows, a PIL image; or an iterable of those, segmented in batches.

        Returns:
            The segmentation; of an iterable an iterator of them, in its order.

        Raises:
            ValueError: for an image of other bands or units, with nan or infinity, or so thin that
                ``side`` would make it enormous.
        """
        if are_many(image):
            return self._many(image)
        rows = self.open(image)
        if self.tiled(*rows.shape[:2], is_raster(rows)):
            return self.result(self.large(rows), rows)
        inputs = self.inputs(rows)  # (1, C, h, w)
        statistics = self._statistics(rows)
        thin = min(inputs.shape[2:]) < SMALLEST
        state = None if thin else self.network.state(inputs, statistics)
        if state is None or state.probability is None:
            probability = probabilities(self.network, inputs, statistics)
            return self.result(self._labels(probability[0], rows), rows)
        return self.result(self._labels(state.probability[0], rows), rows, state)

    def batch(self, images: Sequence[ImageLike], batch_size: int = TOGETHER) -> list[Labels]:
        """The label maps of :meth:`together` alone."""
        return [result.labels for result in self.together(images, batch_size)]

    def together(
        self, images: Sequence[ImageLike], batch_size: int = TOGETHER, told: Told | None = None
    ) -> list[Segmentation]:
        """The segmentations of images, those of one size at once; see :meth:`large` for told."""
        opened = [self.open(image) for image in images]
        results: dict[int, Segmentation] = {}
        alike: dict[tuple[int, ...], list[int]] = {}  # working size -> indices
        for index, rows in enumerate(opened):
            raster = is_raster(rows)
            if self.tiled(*rows.shape[:2], raster):
                results[index] = self.result(self.large(rows, told), rows)
            elif self._statistics(rows) is not None:
                results[index] = self(rows)
            else:
                alike.setdefault(self.size.of(*rows.shape[:2], raster), []).append(index)
        for indices in alike.values():
            for start in range(0, len(indices), batch_size):
                part = indices[start : start + batch_size]
                inputs = torch.cat([self.inputs(opened[index]) for index in part])
                probability = probabilities(self.network, inputs)  # (B, K, h, w)
                for index, each in zip(part, probability, strict=True):
                    results[index] = self.result(self._labels(each, opened[index]), opened[index])
        return [results[index] for index in range(len(opened))]

    def tiled(self, height: int, width: int, raster: bool = False) -> bool:
        """Whether an image of this size, with a georeference or without, is segmented in tiles."""
        height, width = self.size.of(height, width, raster)
        if self.tile is None:
            return height * width > WHOLE
        return 0 < self.tile < max(height, width)

    def large(self, image: ImageLike, told: Told | None = None) -> Labels:
        """Segment an image in tiles, read as they are needed.

        Superpixels, their graph and what a model normalises over an image are then a tile's own.

        Args:
            image: as above.
            told: hears how many rows are done.

        Returns:
            (H, W) uint8.
        """
        rows = self.open(image)
        height, width = rows.shape[:2]
        size = self.size.of(height, width, is_raster(rows))
        bands = self._blended(rows, size)
        if size != (height, width):
            bands = enlarged(bands, size[0], (height, width))
        return self._assigned(bands, rows, told)

    def strip(self, image: ImageLike, start: int, stop: int) -> Labels:
        """Some rows of :meth:`large`, of an image that is segmented at its own size.

        Args:
            image: as above.
            start, stop: first row, last row + 1.

        Returns:
            (stop - start, W) uint8, the same as in the whole.
        """
        rows = self.open(image)
        bands = self._blended(rows, (rows.shape[0], rows.shape[1]), start, stop)
        return self._assigned(bands, rows, first=start, last=stop)

    def scores(self, image: ImageLike) -> Iterator[Tensor]:
        """Probabilities at the working size from top to bottom, (K, rows, w); whole if possible."""
        rows = self.open(image)
        height, width, raster = *rows.shape[:2], is_raster(rows)
        if self.tiled(height, width, raster):
            yield from self._blended(rows, self.size.of(height, width, raster))
        else:
            yield probabilities(self.network, self.inputs(rows), self._statistics(rows))[0].cpu()

    @property
    def window(self) -> int:
        """Side of the windows of an image that is segmented in them."""
        return self.tile or TILE

    def _blended(
        self, rows: Rows, size: tuple[int, int], start: int = 0, stop: int | None = None
    ) -> Iterator[Tensor]:
        source = rows if size == rows.shape[:2] else shrunk(rows, size)
        about = self._statistics(rows)
        return blend(self.network, source, self.window, self.overlap, about, start, stop)

    def inputs(self, rows: Rows) -> Tensor:
        """A whole image at its working size, (1, C, h, w) in [0, 1]."""
        size = self.size.of(*rows.shape[:2], is_raster(rows))
        return resized(to_unit(rows.rows(0, rows.shape[0]))[None], size)

    def _many(self, images: Iterable[ImageLike]) -> Iterator[Segmentation]:
        waiting: list[ImageLike] = []
        for image in images:
            waiting.append(image)
            if len(waiting) == TOGETHER:
                yield from self.together(waiting)
                waiting = []
        yield from self.together(waiting)

    def result(self, labels: Labels, rows: Rows, state: SegState | None = None) -> Segmentation:
        """The segmentation that a label map (H, W) of an image is."""
        return Segmentation(labels, list(self.classes), self.colours, rows, state)

    def _statistics(self, rows: Rows) -> Statistics | None:
        """Those of the valid pixels, where the model standardises and some pixels are no data."""
        height = rows.shape[0]
        parts = ((start, min(start + TILE, height)) for start in range(0, height, TILE))
        if not self.network.standardises or all(rows.valid(*part) is None for part in parts):
            return None
        return image_statistics(rows, TILE)

    def _labels(self, probability: Tensor, rows: Rows) -> Labels:
        """Classes at the image's own size of (K, h, w)."""
        bands, size = iter([probability.cpu()]), (rows.shape[0], rows.shape[1])
        if probability.shape[1:] != size:  # by parts: K floats a pixel of a photograph are much
            bands = enlarged(bands, probability.shape[1], size)
        return self._assigned(bands, rows)

    def _assigned(
        self,
        bands: Iterator[Tensor],
        rows: Rows,
        told: Told | None = None,
        first: int = 0,
        last: int | None = None,
    ) -> Labels:
        """Values of the likeliest classes of (K, rows, W), which together are these rows."""
        last = rows.shape[0] if last is None else last
        labels, row = np.empty((last - first, rows.shape[1]), np.uint8), 0
        for band in bands:
            stop = row + band.shape[1]
            labels[row:stop] = self.mapping[band.argmax(0).numpy()]
            valid = rows.valid(first + row, first + stop)
            if valid is not None:
                labels[row:stop][~valid] = IGNORE
            row = stop
            if told:
                told(row, len(labels))
        return labels
