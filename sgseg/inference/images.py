"""Open an image of any kind as rows in the units that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..io.georeference import is_georeferenced
from ..io.images import read_stored, stored_type
from ..io.pixels import Mask, Stored, pixels_of
from ..io.rows import ArrayRows, Rows, TiffRows, open_rows
from ..io.tiff import holds_tiff
from ..io.units import Units, kind_of, units_of

Array = npt.NDArray[Any]
ImageLike = str | Path | Array | Rows | Any
"""A path, (H, W, C) samples (masked where there is no data), rows, or a PIL image."""
_TURNED_INTO = {"1": "L", "YCbCr": "RGB", "RGBX": "RGB"}
_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA", "F", "I;16", "I;16L", "I;16B")
"""Modes of PIL whose samples are bands of an image."""


class Reader:
    """Opens images for a model.

    Args:
        bands: C of the model.
        units: of its training images; ``None``: it does not say (older checkpoints), 8 bits.
        value_range: values of the images to read that stand for 0 and 1, where they are in other
            units.

    Raises:
        ValueError: for a range that is none.
    """

    def __init__(
        self, bands: int, units: Units | None, value_range: Sequence[float] | None = None
    ) -> None:
        self.bands = bands
        self.units = units or Units()
        self.value_range: tuple[float, float] | None = None
        if value_range is not None:
            low, high = value_range
            units_of(np.uint8, (low, high))  # refuses a range that is none
            self.value_range = (low, high)

    def open(self, image: ImageLike) -> Rows:
        """Rows of an image, each uint8 as it is or float32 in [0, 1].

        Raises:
            ValueError: for another number of bands, other units than the model's, or something
                that is no image. BadFileError, when its rows are read, for nan or infinity.
        """
        if isinstance(image, (str, Path)):
            return self._of_file(Path(image))
        if isinstance(image, np.ndarray):
            return self._of_array(image)
        if hasattr(image, "getbands"):
            return self._of_pil(image)
        if not hasattr(image, "rows"):
            raise ValueError(
                f"expected a path, an array (H, W, {self.bands}), rows or a PIL image, got "
                f"{type(image).__name__}"
            )
        return self._of_rows(image)

    def units_for(self, dtype: npt.DTypeLike, name: str | Path = "image") -> Units:
        """What samples of a type mean to this model.

        Floats in [0, 1] are taken by every model that was trained on the whole range of its type.

        Raises:
            ValueError: for other samples than it was trained on, of which no range is stated.
        """
        try:
            if self.value_range is None and kind_of(dtype) == self.units.dtype:
                return self.units
            meant = units_of(dtype, self.value_range)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if self.value_range is not None:
            return meant
        if meant.dtype == "float" and self.units.usual:
            return meant
        raise ValueError(
            f"{name}: holds {np.dtype(dtype)}, this model was trained on {self.units}; convert it, "
            "or state which of its values stand for 0 and 1 (value_range=(low, high), "
            "--value-range LOW HIGH)"
        )

    def _of_file(self, path: Path) -> Rows:
        if holds_tiff(path):
            return open_rows(path, self.bands, self.units_for(stored_type(path), path))
        stored = read_stored(path)
        pixels = pixels_of(path, stored, self.bands, self.units_for(stored.image.dtype, path))
        return ArrayRows(pixels.image, path, None, pixels.valid)

    def _of_array(self, image: Array) -> Rows:
        if image.ndim != 3 or image.shape[2] != self.bands or 0 in image.shape:
            raise ValueError(
                f"Segmenter: expected an image (H, W, {self.bands}), got {image.shape}: this model "
                f"was trained on {self.bands} bands"
            )
        units = self.units_for(image.dtype)
        if not isinstance(image, np.ma.MaskedArray):
            return ArrayRows(image, "image", units)
        valid: Mask = np.logical_not(np.ma.getmaskarray(image).any(2))  # (H, W)
        return ArrayRows(np.ma.getdata(image), "image", units, valid)

    def _of_pil(self, image: Any) -> Rows:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
        if image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image = image.convert(_TURNED_INTO.get(image.mode, image.mode))
        if image.mode not in _AS_THEY_ARE:
            raise ValueError(f"image: PIL's mode {image.mode}; convert it to RGB first")
        samples = np.asarray(image)
        samples = samples[:, :, None] if samples.ndim == 2 else samples
        stored = Stored(samples, "sure" if image.mode in ("LA", "RGBA") else "")
        units = self.units_for(samples.dtype)
        pixels = pixels_of(Path("image"), stored, self.bands, units)
        return ArrayRows(pixels.image, "image", None, pixels.valid)

    def _of_rows(self, rows: Any) -> Rows:
        """Rows as they are, but in stated units: those of a file or array as this model's."""
        if rows.shape[2] != self.bands:
            raise ValueError(
                f"Segmenter: expected rows of {self.bands} bands, got {rows.shape[2]}: this model "
                f"was trained on {self.bands}"
            )
        if isinstance(rows, TiffRows) and rows.units is None:
            return self.open(rows.path)
        if isinstance(rows, ArrayRows) and rows.units is None and rows.image.dtype.kind != "f":
            valid = rows.valid(0, rows.shape[0])
            return ArrayRows(rows.image, rows.path, self.units_for(rows.image.dtype), valid)
        return rows


def are_many(image: Any) -> bool:
    """Whether something is an iterable of images, and not one of them."""
    one = isinstance(image, (str, Path, np.ndarray)) or hasattr(image, "getbands")
    return not one and not hasattr(image, "rows") and isinstance(image, Iterable)


def is_raster(rows: Rows) -> bool:
    """Whether an image says where it lies on the ground."""
    path = getattr(rows, "path", None)
    return path is not None and path.is_file() and is_georeferenced(path)
