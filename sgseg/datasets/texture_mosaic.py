"""TextureMosaic: real texture photographs composed into labelled mosaics, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import DATASETS
from .base import SegDataset, TransformConfig

PHOTOGRAPHS = ("brick", "grass", "gravel")
"""Grey photographs of 512 x 512 pixels in scikit-image's wheel (texturelib.com, CC0)."""

FloatArray = npt.NDArray[np.float32]


@cache
def _equalised(name: str) -> FloatArray:
    """A photograph with its grey values replaced by their ranks: (512, 512) in [0, 1]."""
    import skimage.data

    grey = getattr(skimage.data, name)()
    ranks = np.empty(grey.size, np.float32)
    # Stable sort, so that ties break the same way on every machine.
    ranks[np.argsort(grey, axis=None, kind="stable")] = np.linspace(0, 1, grey.size)
    return ranks.reshape(grey.shape)


@DATASETS.register_module()
class TextureMosaic(SegDataset):
    """Mosaics of irregular cells, each filled with one of three textures; labels are exact.

    All textures have the same histogram, and light of random strength, tint and slope falls on
    every mosaic, so that colour does not tell the classes apart: only the pattern does. A mosaic
    is a function of (seed, index) alone.

    Shapes: image (size, size, bands) uint8, labels (size, size) uint8 in 0..2.

    Args:
        length: number of mosaics.
        size: side in pixels, at least 16.
        seed: another seed is another set.
        cells: fewest and most cells of a mosaic.
        scale: pixels of the mosaic per pixel of the photograph, at most 1.
        bands: 1 or more, differing by a tint.
        cell_light: 0 lights a mosaic as a whole; up to 1 gives each cell a light of its own, a
            nuisance as persistent as the classes and therefore much harder.
        transforms: pipeline of each mosaic; default packs it as it is.
    """

    def __init__(
        self,
        length: int,
        size: int = 64,
        seed: int = 0,
        cells: tuple[int, int] = (2, 4),
        scale: float = 1 / 3,
        bands: int = 3,
        cell_light: float = 0.0,
        transforms: Sequence[TransformConfig] | None = None,
    ) -> None:
        super().__init__(classes=PHOTOGRAPHS, transforms=transforms, seed=seed)
        if length < 1 or bands < 1 or size < 16 or not 1 <= cells[0] <= cells[1]:
            raise ValueError(
                f"TextureMosaic: length = {length} and bands = {bands} must be >= 1, size = {size} "
                f">= 16 and cells = {cells} a range from at least 1"
            )
        if not size / 512 <= scale <= 1:
            raise ValueError(
                f"TextureMosaic: scale = {scale} must lie in [{size / 512:.3g}, 1]: a photograph "
                f"of 512 pixels has to cover {size}"
            )
        self.length = length
        self.size = size
        self.cells = cells
        self.scale = scale
        self.bands = bands
        self.cell_light = cell_light

    def __len__(self) -> int:
        return self.length

    def load(self, index: int) -> dict[str, Any]:
        """Compose mosaic ``index``."""
        rng = np.random.default_rng((self.seed, index))
        cell = self._cells(rng)  # (S, S) int
        kinds = rng.integers(len(self.classes), size=cell.max() + 1)
        image = np.empty((self.size, self.size, self.bands), np.float32)
        for number, kind in enumerate(kinds):
            inside = cell == number
            gain, offset = self._light(rng, 0.5 * self.cell_light)
            image[inside] = self._patch(self.classes[kind], rng)[inside, None] * gain + offset
        gain, offset = self._light(rng, 0.5)
        image = image * gain + offset
        slope = rng.uniform(-0.15, 0.15, 2)
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        image += (slope[0] * axis[None, :] + slope[1] * axis[:, None])[..., None]
        # Exposure: nothing is clipped to white or black.
        dark, bright = min(image.min(), 0.0), max(image.max(), 1.0)
        image = (image - dark) / (bright - dark)
        return dict(
            img=(image * 255).round().astype(np.uint8),
            gt_seg_map=kinds[cell].astype(np.uint8),
            name=f"mosaic_{index:05d}",
        )

    def protocol(self) -> dict[str, Any]:
        """Which mosaics these are."""
        return super().protocol() | dict(
            split="all",
            seed=self.seed,
            size=self.size,
            scale=self.scale,
            cells=list(self.cells),
            cell_light=self.cell_light,
        )

    def _light(self, rng: np.random.Generator, strength: float) -> tuple[FloatArray, FloatArray]:
        """Gain and offset of each band that keep [0, 1] inside [0, 1]."""
        gain = rng.uniform(1 - strength, 1) * rng.uniform(1 - 0.3 * strength, 1, self.bands)
        offset = rng.uniform(0, 1) * (1 - gain)
        return gain.astype(np.float32), offset.astype(np.float32)

    def _cells(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Voronoi cells of random sites, their borders bent by smooth noise."""
        import cv2

        sites = rng.uniform(0, self.size, (rng.integers(self.cells[0], self.cells[1] + 1), 2))
        coarse = rng.normal(0, self.size / 16, (4, 4, 2))
        bend = cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        grid = np.moveaxis(np.mgrid[: self.size, : self.size], 0, -1) + bend  # (S, S, 2)
        distance = np.linalg.norm(grid[:, :, None] - sites, axis=-1)  # (S, S, cells)
        return distance.argmin(-1)

    def _patch(self, name: str, rng: np.random.Generator) -> FloatArray:
        """A random window of a photograph, mirrored at random: (S, S)."""
        import cv2

        photograph = _equalised(name)
        span = round(self.size / self.scale)
        top, left = rng.integers(0, photograph.shape[0] - span + 1, 2)
        window = photograph[top : top + span, left : left + span]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        if self.scale == 1:
            return np.ascontiguousarray(window)
        small = cv2.resize(window, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32)
