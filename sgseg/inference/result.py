"""The segmentation of one image: its label map, what each class covers, pictures, polygons, files.

Shapes: labels (H, W) uint8, 255 where there is no data; pictures (H, W, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..io.georeference import BLOCK, Georeference, georeference
from ..io.rows import Rows
from ..labelmaps.polygons import Region, regions
from ..ops.matching import IGNORE
from ..ops.superpixel import labels as superpixel_labels
from ..structures import SegState
from ..visualization import draw_borders, features_as_rgb, overlay, slide, to_display
from .areas import Area, areas

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]
PICTURE_SIDE = 1024
"""Images beyond are drawn from every n-th pixel."""


class Segmentation:
    """What a :class:`.Segmenter` gives for an image; ``labels, state = result`` unpacks it.

    Attributes:
        labels: class of each pixel, 255 where there is no data.
        classes: name of each value.
        colours: (256, 3) colour of each value.
        state: the model's state at its working size; None for an image thinner than 8 pixels
            there, or segmented in windows, in a batch or by ONNX Runtime.
        image: its rows.
    """

    def __init__(
        self,
        labels: Labels,
        classes: list[str],
        colours: Labels,
        image: Rows,
        state: SegState | None = None,
    ) -> None:
        self.labels, self.classes, self.colours = labels, classes, colours
        self.image, self.state = image, state

    def __iter__(self) -> Iterator[Any]:
        return iter((self.labels, self.state))

    def __getitem__(self, index: int) -> Any:
        return (self.labels, self.state)[index]

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = ", ".join(f"{a.name} {100 * a.share:.0f} %" for a in self.areas() if a.pixels)
        return f"{self.path or 'image'}, {width} x {height} pixels: {shares or 'no data'}"

    @property
    def path(self) -> Path | None:
        """The image's file; None of an image that was given as an array or by PIL."""
        path = getattr(self.image, "path", None)
        return path if path is not None and path.is_file() else None

    @cached_property
    def where(self) -> Georeference | None:
        """Where the image lies on the ground, if it says so and rasterio is there."""
        return georeference(self.path) if self.path else None

    def areas(self) -> list[Area]:
        """What each class covers: pixels, share, and square metres where the scale is known."""
        known = self.where.pixel_areas(len(self.labels)) if self.where else None
        return areas(self.labels, self.classes, known)

    def overlay(self, opacity: float = 0.5) -> Array:
        """The image at its own size with the classes' colours over it."""
        return np.concatenate(list(self.overlay_parts(opacity)))

    def overlay_parts(self, opacity: float = 0.5) -> Iterator[Array]:
        """:meth:`overlay` from top to bottom, 512 rows at a time."""
        limits = self._limits
        for start in range(0, len(self.labels), BLOCK):
            labels = self.labels[start : start + BLOCK]
            shown = _shown(self.image.rows(start, start + len(labels)), labels, limits)
            yield overlay(shown, labels, self.colours, opacity)

    def picture(self, opacity: float = 0.6, inside: bool = False) -> Array:
        """Image and classes side by side, names with their shares below, for a slide.

        Args:
            opacity: of the colours.
            inside: show superpixels and node features too, where the model gave them.
        """
        thin = self._thinned
        step = -(-max(self.labels.shape) // PICTURE_SIDE)
        labels = self.labels[::step, ::step]
        shown = _shown(thin, labels, self._limits)
        panels = [("image", shown)]
        state = self.state if inside else None
        if state is not None and state.superpixels is not None and state.projected is not None:
            owner = superpixel_labels(state.superpixels.assignment)[0].cpu().numpy()
            small = to_display(state.image[0].permute(1, 2, 0).cpu().numpy())
            panels.append(("superpixels", draw_borders(small, owner)))
            features = features_as_rgb(state.projected[0].float().cpu().numpy())
            panels.append(("node features", features))
        panels.append(("classes", overlay(shown, labels, self.colours, opacity)))
        found = [area for area in self.areas() if area.pixels]
        named = [(f"{a.name}  {100 * a.share:.0f} %", self.colours[a.value]) for a in found]
        return slide(panels, named)

    def polygons(self, simplify: float = 0.0, smallest_area: float = 0.0) -> list[Region]:
        """The connected pieces of each class as polygons; see :func:`.labelmaps.polygons.regions`.

        Raises:
            RuntimeError: without the packages of ``sgseg[geo]``.
        """
        return regions(self.labels, self.where, simplify, smallest_area)

    def save(self, folder: str | Path, opacity: float = 0.5) -> Path:
        """Write ``labels/``, ``overlays/``, ``pictures/``, ``areas.csv`` and ``classes.json``.

        The files are named after the image, ``image`` where it has no file; those of another image
        in the folder stay, its tables do not.
        """
        from .outputs import Look, write_files, write_tables

        name = self.path.stem if self.path else "image"
        write_files(self, Path(folder), name, Look(opacity))
        write_tables(Path(folder), self.classes, [(name, self.areas())])
        return Path(folder)

    @cached_property
    def _thinned(self) -> Array:
        """Every n-th pixel, (h, w, C), read a few rows at a time."""
        height = self.image.shape[0]
        step = -(-max(self.image.shape[:2]) // PICTURE_SIDE)
        chunk = 64 * step
        starts = range(0, height, chunk)
        parts = [self.image.rows(a, min(a + chunk, height))[::step, ::step] for a in starts]
        return np.concatenate(parts)

    @cached_property
    def _limits(self) -> tuple[float, float] | None:
        """Samples that are shown black and white; None: bytes, shown as they are."""
        if self._thinned.dtype == np.uint8:
            return None
        low, high = np.percentile(self._thinned[:, :, :3], (1, 99))
        return float(low), float(high)


def _shown(image: Array, labels: Labels, limits: tuple[float, float] | None) -> Array:
    """(H, W, C) as RGB: the first three bands, or the first as grey; white without data."""
    shown = image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, 2)
    if limits is not None:
        low, high = limits
        scaled = (shown.astype(np.float32) - low) / max(high - low, 1e-6)
        shown = (scaled.clip(0, 1) * 255).astype(np.uint8)
    return np.where((labels == IGNORE)[:, :, None], np.uint8(255), shown)
