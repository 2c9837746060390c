"""The size at which an image is segmented: as the model was trained, or as somebody asks.

A photograph is brought to the shorter side that training brought its images to: it shows the same
things, whatever its camera's pixels. A raster with a georeference is brought to the scale of the
training, for a pixel is a length on the ground. Rasters are trained on at their own resolution,
so that scale is one, unless the model has seen photographs alone.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST_ENLARGED = 2**23
"""Pixels at the working size that an image is enlarged to at most."""
Size = tuple[int, int]


class WorkingSize(NamedTuple):
    """The rule."""

    usual: int
    """Shorter side in pixels of images that are no raster; 0: as they are."""
    trained: float = 1.0
    """The part of their own size at which a model has seen its images."""
    side: int | None = None
    """The side that was asked for, of every image."""
    scale: float | None = None
    """The part of their own size that was asked for, of every image."""

    @classmethod
    def checked(
        cls,
        usual: int,
        trained: float = 1.0,
        side: int | None = None,
        scale: float | None = None,
    ) -> WorkingSize:
        """The rule; ValueError for a negative side, no scale, or both."""
        if side is not None and side < 0:
            raise ValueError(f"--side {side}: a shorter side in pixels, or 0 for that of the image")
        if scale is not None and not 0 < scale <= 4:
            raise ValueError(f"--scale {scale}: a part of the image's own size, above 0 to 4")
        if side is not None and scale is not None:
            raise ValueError(f"--side {side} and --scale {scale}: give one of them")
        return cls(usual, trained, side, scale)

    def of(self, height: int, width: int, raster: bool = False) -> Size:
        """Height and width at which an image is segmented.

        Args:
            height, width: its own.
            raster: whether it has a georeference.

        Raises:
            ValueError: for an image so thin that it would become enormous.
        """
        side = self.usual if self.side is None else self.side
        factor = side / min(height, width) if side else 1.0
        if self.scale is not None:
            factor = self.scale
        elif self.side is None and raster:
            factor = self.trained
        size = max(round(height * factor), 1), max(round(width * factor), 1)
        if factor > 1 and size[0] * size[1] > LARGEST_ENLARGED:
            raise ValueError(
                f"an image of {height} x {width} pixels would be segmented at {size[0]} x "
                f"{size[1]}; cut it, or give side=0 (--side 0) to segment it as it is"
            )
        return size

    def sentence(self, name: str, own: Size, size: Size) -> str:
        """What a user should know of an image that is made smaller."""
        why = "as asked" if self.side is not None or self.scale is not None else "as in training"
        return (
            f"{name}: {own[1]} x {own[0]} pixels are segmented at {size[1]} x {size[0]}, {why}, "
            "and so are others of its kind; --side 0 takes them as they are, --scale 0.5 at half "
            "their size"
        )
