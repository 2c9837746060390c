"""An image as the naming page shows it: small, with the cluster and the surety of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..inference import Segmenter
from ..inference.images import is_raster
from ..inference.network import Statistics, TorchNetwork
from ..inference.splits import SplitNetwork
from ..io.rows import Rows
from ..structures import SegState
from ..visualization import to_display

SIDE = 384
"""Pixels of the longer side at which images are shown."""
KEPT = 48
"""Pixels of a cluster in an image (in a window of a large one) whose features are kept."""
NO_DATA = -1


@dataclass
class SampledImage:
    """What the page knows of an image, h x w pixels as shown."""

    path: Path
    picture: npt.NDArray[np.uint8]
    """(h, w, 3)."""
    channels: npt.NDArray[np.int16]
    """Channel of the network that is the most probable, (h, w); -1: no data."""
    surety: npt.NDArray[np.float32]
    """Its probability, (h, w)."""
    pixel: float
    """Pixels of the file in one that is shown."""
    features: dict[int, npt.NDArray[np.float32]]
    """Channel -> features of some of its pixels, (n, D)."""


class ListeningNetwork:
    """A network of which the features of some pixels of each cluster are kept.

    Attributes:
        heard: channel -> features (n, D), one array for each window of images that it saw.
    """

    def __init__(self, network: TorchNetwork | SplitNetwork, seed: int = 0) -> None:
        self.network = network
        self.bands, self.standardises = network.bands, network.standardises
        self.heard: dict[int, list[npt.NDArray[np.float32]]] = {}
        self._random = np.random.default_rng(seed)

    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Scores (B, K, H, W); features of up to KEPT pixels of each cluster are kept."""
        state, features = self.network.features(images, statistics)
        assert state.probability is not None  # as inferred
        small = F.interpolate(state.probability, features.shape[2:], mode="bilinear")
        channels = small.argmax(1).flatten().cpu().numpy()  # (B h w,)
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)  # (B h w, D)
        for channel in np.unique(channels):
            places = np.flatnonzero(channels == channel)
            if len(places) > KEPT:
                places = self._random.choice(places, KEPT, replace=False)
            kept = flat[torch.from_numpy(places).to(flat.device)].float().cpu().numpy()
            self.heard.setdefault(int(channel), []).append(kept)
        return state.probability

    def state(self, images: Tensor, statistics: Statistics | None = None) -> SegState:
        """Everything there is to show of ``images``."""
        return self.network.state(images, statistics)


def look(segmenter: Segmenter, path: Path) -> SampledImage:
    """Segment an image for the page.

    Args:
        segmenter: its network is a :class:`ListeningNetwork`.
        path: of the image.

    Raises:
        ValueError: for an image that cannot be read or segmented.
    """
    listening: Any = segmenter.network
    listening.heard = {}
    rows = segmenter.open(path)
    height, width, _ = rows.shape
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    channels, surety = _map(segmenter, rows, size)
    valid = rows.valid(0, height)
    if valid is not None:
        channels[_resized(valid.astype(np.uint8), size) == 0] = NO_DATA
    heard = {channel: np.concatenate(parts) for channel, parts in listening.heard.items()}
    pixel = height * width / (size[0] * size[1])
    return SampledImage(path, _picture(rows, size), channels, surety, pixel, heard)


def _map(
    segmenter: Segmenter, rows: Rows, size: tuple[int, int]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]:
    whole = not segmenter.tiled(*rows.shape[:2], is_raster(rows))
    channels, surety = [], []
    for band in segmenter.scores(rows):  # (K, rows, w)
        if whole:
            band = F.interpolate(band[None], size, mode="bilinear")[0]  # (K, h, w)
        best = band.max(0)
        channels.append(best.indices.numpy().astype(np.int16))
        surety.append(best.values.numpy().astype(np.float32))
    return _resized(np.concatenate(channels), size), _resized(np.concatenate(surety), size)


def _resized(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST)


def _picture(rows: Rows, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The first bands at the size shown, of a large image from every n-th pixel."""
    step = max(1, rows.shape[0] // (2 * size[0]))
    starts = range(0, rows.shape[0], 64 * step)
    parts = [rows.rows(a, min(a + 64 * step, rows.shape[0]))[::step, ::step, :3] for a in starts]
    image = np.ascontiguousarray(np.concatenate(parts))
    if image.shape[2] == 2:  # shown in grey
        image = np.ascontiguousarray(image[:, :, :1])
    return to_display(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))
