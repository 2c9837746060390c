"""Orientation tags and the number of pictures in a file, by one rule for all formats.

A camera stores rows as its sensor lay and says in an EXIF tag (274, values 1 to 8) how to turn
them. Images and label maps are given as they are shown, whatever the format.
"""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

import numpy.typing as npt

ORIENTATION = 274
"""EXIF and TIFF tag."""
JPEG_START, PNG_START, WEBP_NAME = b"\xff\xd8\xff", b"\x89PNG", b"WEBP"
_JPEG_HEADERS = 2**18
"""Bytes of a JPEG that are looked at; its tags stand before its pixels."""
_MARKS = (b"Exif\0\0", b"EXIF", b"eXIf", b"Raw profile type", b"tiff:Orientation", b"acTL", b"ANIM")
"""Bytes without one of which a file has neither an orientation nor several pictures."""
_ODD_HEADER = (OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError, struct.error)

Array = npt.NDArray[Any]


class Header(NamedTuple):
    """What a JPEG, PNG or WebP says beside its pixels."""

    orientation: int = 1
    pictures: int = 1


def read_header(data: bytes) -> Header:
    """Orientation (1 to 8) and number of pictures of a JPEG, PNG or WebP file.

    A tag that cannot be read counts as none, as in every viewer.
    """
    head = data[:_JPEG_HEADERS] if data.startswith(JPEG_START) else data
    if not any(mark in head for mark in _MARKS):
        return Header()
    try:
        with _plugin(data) as file:
            orientation = file.getexif().get(ORIENTATION, 1)
            pictures = getattr(file, "n_frames", 1)
    except _ODD_HEADER:
        return Header()
    return Header(orientation if orientation in range(1, 9) else 1, pictures)


def _plugin(data: bytes) -> Any:
    """Pillow's reader of the format; named, as ``Image.open`` refuses large photographs."""
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    stream = io.BytesIO(data)
    if data.startswith(JPEG_START):
        return JpegImagePlugin.JpegImageFile(stream)
    if data.startswith(PNG_START):
        return PngImagePlugin.PngImageFile(stream)
    if data[8:12] == WEBP_NAME:
        return WebPImagePlugin.WebPImageFile(stream)
    raise ValueError("a format without EXIF")


def transparent_grey(data: bytes) -> float | None:
    """The grey that a PNG without a band of opacity calls transparent, as OpenCV gives it."""
    start = data.find(b"tRNS", 0, max(0, data.find(b"IDAT")))
    if not data.startswith(PNG_START) or data[25] != 0 or start < 0:
        return None
    bits = data[24]
    top = 2**bits - 1
    value = int.from_bytes(data[start + 4 : start + 6], "big") & top
    return float(value if bits >= 8 else value * 255 // top)


def upright(image: Array, orientation: int) -> Array:
    """Rows and columns as they are shown.

    Args:
        image: (H, W) or (H, W, C) as stored.
        orientation: 1 to 8.

    Returns:
        (H, W, ...), or (W, H, ...) from 5 on.
    """
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
