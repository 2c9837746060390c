"""Label maps for images that nobody labelled, from a trained checkpoint or an exported model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from ..datasets.windows import ArrayRows, Rows
from ..engine.checkpoint import load_checkpoint
from ..registry import MODELS
from ..structures import SegState
from ..visualization import (
    captioned,
    draw_borders,
    features_as_rgb,
    overlay,
    palette,
    picture_strip,
    to_display,
)
from .network import Network, Precision, TorchNetwork
from .tiling import blend, enlarged, to_unit

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]
WHOLE = 2**20
"""Pixels at the working size above which an image is segmented in tiles, if nothing is said."""
TILE = 512


class Segmenter:
    """A trained model for images of any size.

    Args:
        config: the config it was trained with.
        checkpoint: its checkpoint; read without running code in it.
        device: default a GPU if there is one.
        side: shorter side in pixels at which images are segmented; label maps come back at the
            image's own size. 0: no resizing. Default: the ``predict_side`` of the config, else 0.
        tile: images larger than ``tile`` are segmented in windows of this size (even, pixels at
            the working size) that blend; 0: never. Default: windows of 512 for images of more
            than 2**20 pixels.
        overlap: of neighbouring windows, even; default an eighth of the tile.
        compile, precision: see :class:`TorchNetwork`.
        names: of the classes, see :meth:`rename`.

    Attributes:
        classes: name of each value in the label maps; ``cluster_i`` where no evaluation has
            named the clusters.
        mapping: value of each cluster in the label maps.
    """

    def __init__(
        self,
        config: Config,
        checkpoint: str | Path,
        device: str | None = None,
        side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        compile: bool = False,
        precision: Precision = "float32",
        names: str | Path | Mapping[str, str] | None = None,
    ) -> None:
        saved = load_checkpoint(checkpoint)
        model = MODELS.build(config.model)
        try:
            model.load_state_dict(saved["state_dict"])
        except RuntimeError as error:
            raise ValueError(
                f"{checkpoint} does not fit the model of this config (was it trained with other "
                f"--num-classes or another config?): {error}"
            ) from error
        network = TorchNetwork(model, torch.device(device or get_device()), compile, precision)
        evaluation = saved.get("meta", {}).get("evaluation") or {}
        mapping, classes = _class_table(evaluation, config.model.decode_head.num_classes)
        side = config.get("predict_side") if side is None else side
        self._set_up(network, mapping, classes, side or 0, tile, overlap, names)

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        names: str | Path | Mapping[str, str] | None = None,
    ) -> Segmenter:
        """A model exported by :func:`export_onnx`, run by ONNX Runtime; arguments as above.

        Raises:
            FileNotFoundError, ValueError: for a missing file, or one that sgseg did not export.
            RuntimeError: without ONNX Runtime.
        """
        from .runtime import ONNXNetwork

        network = ONNXNetwork(path)
        about = network.about
        segmenter = cls.__new__(cls)
        mapping = np.asarray(about["mapping"], np.uint8)
        side = about["side"] if side is None else side
        segmenter._set_up(network, mapping, about["classes"], side, tile, overlap, names)
        return segmenter

    def _set_up(
        self,
        network: Network,
        mapping: Labels,
        classes: list[str],
        side: int,
        tile: int | None,
        overlap: int | None,
        names: str | Path | Mapping[str, str] | None,
    ) -> None:
        self.network = network
        self.bands = network.bands
        self.mapping, self.classes = mapping, classes
        self.side = side
        self.tile = tile
        size = TILE if tile is None else tile
        self.overlap = size // 16 * 2 if overlap is None else overlap
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
        table: Any = names
        if not isinstance(names, Mapping):
            try:
                table = json.loads(Path(names).read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{names}: no JSON ({error})") from error
        values = [str(value) for value in range(len(self.classes))]
        whole = isinstance(table, Mapping) and set(table) == set(values)
        if not whole or not all(isinstance(name, str) and name for name in table.values()):
            raise ValueError(
                f"{names}: wanted is one name for each of the {len(values)} values this model's "
                f'label maps have, {{"0": "{self.classes[0]}", ...}}'
            )
        merged = list(dict.fromkeys(table[value] for value in values))
        places = np.array([merged.index(table[value]) for value in values], np.uint8)
        self.mapping, self.classes = places[self.mapping], merged

    def __call__(self, image: Array) -> tuple[Labels, SegState | None]:
        """Segment one image.

        Args:
            image: (H, W, C) uint8, or float in [0, 1].

        Returns:
            Class of each pixel, (H, W) uint8, and the model's state at its working size; None
            for an image that was segmented in tiles or by ONNX Runtime.

        Raises:
            ValueError: for an array of another form.
        """
        self._check(image)
        if self.tiled(image.shape[0], image.shape[1]):
            return self.large(ArrayRows(image)), None
        inputs = self.resized(to_unit(image)[None])  # (1, C, h, w)
        state = self.network.state(inputs)
        if state is None or state.probability is None:
            return self._labels(self.network(inputs)[0], image.shape[:2]), None
        return self._labels(state.probability[0], image.shape[:2]), state

    def batch(self, images: Sequence[Array], batch_size: int = 8) -> list[Labels]:
        """Segment images, those of one size together; nothing but labels is kept.

        Args:
            images: (H, W, C) each, of any sizes.
            batch_size: images in memory at the working size at a time.

        Returns:
            (H, W) uint8 each, in the order of ``images``.
        """
        found: list[Labels | None] = [None] * len(images)
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(images):
            self._check(image)
            if self.tiled(image.shape[0], image.shape[1]):
                found[place] = self.large(ArrayRows(image))
            else:
                groups.setdefault(image.shape, []).append(place)
        for places in groups.values():
            for start in range(0, len(places), batch_size):
                part = places[start : start + batch_size]
                inputs = [self.resized(to_unit(images[place])[None]) for place in part]
                probability = self.network(torch.cat(inputs))  # (B, K, h, w)
                for place, one in zip(part, probability, strict=True):
                    found[place] = self._labels(one, images[place].shape[:2])
        return [labels for labels in found if labels is not None]

    def tiled(self, height: int, width: int) -> bool:
        """Whether an image of this size is segmented in tiles."""
        height, width = self._working(height, width)
        if self.tile is None:
            return height * width > WHOLE
        return 0 < self.tile < max(height, width)

    def large(self, source: Rows) -> Labels:
        """Segment an image in tiles, read from ``source`` as they are needed.

        Superpixels, their graph and what a model normalises over an image are then a tile's own.

        Returns:
            (H, W) uint8.
        """
        height, width = source.shape[:2]
        size = self._working(height, width)
        if size != (height, width):
            source = ArrayRows(self._shrunk(source))
        bands: Iterable[Tensor] = blend(self.network, source, self.tile or TILE, self.overlap)
        if size != (height, width):
            bands = enlarged(iter(bands), size[0], (height, width))
        labels, row = np.empty((height, width), np.uint8), 0
        for band in bands:
            labels[row : row + band.shape[1]] = self.mapping[band.argmax(0).numpy()]
            row += band.shape[1]
        return labels

    def picture(self, image: Array, labels: Labels, state: SegState | None) -> Array:
        """Input, superpixel borders, node features and labels side by side, classes below, RGB."""
        shown = to_display(image)
        row, titles = [shown], ["input"]
        if state is not None and state.superpixels is not None and state.projected is not None:
            assignment = state.superpixels.assignment
            owner = assignment.argmax(1)[0].cpu().numpy().astype(np.int32)
            small = to_display(state.image[0].permute(1, 2, 0).cpu().numpy())
            features = features_as_rgb(state.projected[0].float().cpu().numpy())
            row += [draw_borders(small, owner), features]
            titles += ["superpixels", "node features"]
        colours = palette(len(self.classes))
        row.append(overlay(shown, labels, colours, 0.6))
        strip = picture_strip([row], [*titles, "prediction"], side=240)
        return captioned(strip, list(zip(self.classes, colours, strict=False)), [])

    def _check(self, image: Array) -> None:
        if image.ndim != 3 or image.shape[2] != self.bands:
            raise ValueError(
                f"Segmenter: expected an image (H, W, {self.bands}), got {image.shape}: this model "
                f"was trained on {self.bands} bands"
            )

    def _working(self, height: int, width: int) -> tuple[int, int]:
        """Size at which an image is segmented."""
        factor = self.side / min(height, width) if self.side else 1.0
        return round(height * factor), round(width * factor)

    def resized(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W) at the size at which they are segmented."""
        size = self._working(inputs.shape[2], inputs.shape[3])
        if size == inputs.shape[2:]:
            return inputs
        return F.interpolate(inputs, size, mode="bilinear", antialias=True)  # (1, C, h, w)

    def _shrunk(self, source: Rows) -> Array:
        """A whole image at its working size, one band after the other: (h, w, C) float32."""
        image = source.rows(0, source.shape[0])
        bands = [
            self.resized(to_unit(image[:, :, c : c + 1])[None])[0, 0] for c in range(self.bands)
        ]
        return torch.stack(bands, 2).numpy()  # (h, w, C)

    def _labels(self, probability: Tensor, size: Sequence[int]) -> Labels:
        """Classes at the image's own size of (K, h, w)."""
        if probability.shape[1:] != tuple(size):
            probability = F.interpolate(probability[None], tuple(size), mode="bilinear")[0]
        return self.mapping[probability.argmax(0).cpu().numpy()]  # (H, W)


def _class_table(evaluation: dict[str, Any], clusters: int) -> tuple[Labels, list[str]]:
    """Cluster -> value in the label map, and the name of each value."""
    mapping = evaluation.get("mapping")
    if not mapping or len(mapping) != clusters:
        return np.arange(clusters, dtype=np.uint8), [f"cluster_{i}" for i in range(clusters)]
    names = [entry["name"] for entry in evaluation["per_class"]]
    table = np.empty(clusters, np.uint8)
    for cluster, matched in enumerate(mapping):
        if matched < 0:  # more clusters than classes: it keeps a value of its own
            names.append(f"cluster_{cluster}")
            matched = len(names) - 1
        table[cluster] = matched
    return table, names
