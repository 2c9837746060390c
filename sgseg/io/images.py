"""Reading images, label maps and lists, with errors that name the file and what was expected."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE
from .atomic import replacing
from .badfile import BadFileError
from .orientation import (
    JPEG_START,
    PNG_START,
    WEBP_NAME,
    read_header,
    transparent_grey,
    upright,
)
from .pixels import Pixels, Stored, pixels_of
from .tiff import (
    TIFF_STARTS,
    TIFF_SUFFIXES,
    declares_opacity,
    holds_tiff,
    in_rgb_order,
    is_tiff,
    nodata_of,
    open_tiff,
    read_tiff,
)
from .units import Units

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", *TIFF_SUFFIXES, ".webp", ".bmp", ".npy")
LABEL_SUFFIXES = (".png", *TIFF_SUFFIXES, ".bmp", ".npy")
_PNG_END = b"IEND"
_PNG_GREY_ALPHA = 4

Array = npt.NDArray[Any]


def read_text(path: str | Path) -> str:
    """A text file as people's editors write it: UTF-8 or UTF-16, with or without its mark.

    Raises:
        BadFileError: for another encoding.
    """
    data = Path(path).read_bytes()
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        raise BadFileError(path, fault) from error


def read_list(path: str | Path) -> list[str]:
    """Names in a list file, one a line; empty lines and ``#`` comments are left out."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def read_pixels(path: str | Path, bands: int, units: Units | None = None) -> Pixels:
    """Read an image upright, with its bands in file order (RGB, not BGR).

    Grey files become three equal bands where three are wanted; a band of opacity is no band, and
    where it is zero there is no data. Nothing else is converted: a four-band TIFF is never cut to
    three in silence.

    Args:
        path: JPEG, PNG, TIFF, WebP, BMP (8 or 16 bit) or NPY.
        bands: bands wanted.
        units: what the samples mean; default the usual ones of their type.

    Returns:
        The image, (H, W, bands) uint8 or float32 in [0, 1], and where it is valid.

    Raises:
        BadFileError: unreadable, truncated, several pictures, wrong bands, other units, or not
            finite.
    """
    return pixels_of(Path(path), read_stored(path), bands, units)


def read_image(path: str | Path, bands: int, units: Units | None = None) -> Array:
    """The image of :func:`read_pixels` alone: (H, W, bands)."""
    return read_pixels(path, bands, units).image


def read_stored(path: str | Path) -> Stored:
    """All samples of an image as they lie in the file, upright, and what it says about them.

    Raises:
        BadFileError: unreadable, truncated, several pictures, or no (H, W, bands).
    """
    path = Path(path)
    stored = _decode(path)
    image = stored.image[:, :, None] if stored.image.ndim == 2 else stored.image
    if image.ndim != 3 or 0 in image.shape:
        fault = f"expected an image of (H, W, bands), found {image.shape}"
        raise BadFileError(path, fault, "bands")
    return stored._replace(image=image)


def stored_type(path: str | Path) -> np.dtype[Any]:
    """Type of an image's samples in the file.

    Raises:
        BadFileError: if it cannot be read.
    """
    path = Path(path)
    if holds_tiff(path):
        with open_tiff(path) as (page, _):
            if page.dtype is not None:
                return np.dtype(page.dtype)
    return _decode(path).image.dtype


def stored_size(path: Path) -> tuple[int, int]:
    """Height and width of an image as it lies in the file; pixels are not read.

    Raises:
        BadFileError: if it cannot be read.
    """
    from PIL import Image

    if holds_tiff(path):
        with open_tiff(path) as (page, _):
            return page.imagelength, page.imagewidth
    try:
        if path.suffix.lower() == ".npy":
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return height, width
        with Image.open(path) as file:
            return file.height, file.width
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadFileError(path, f"its size cannot be read: {error}") from error


def may_hide(path: Path) -> bool:
    """Whether an image may hold pixels that are no data, seen from its first bytes alone."""
    if holds_tiff(path):
        with open_tiff(path) as (page, mask):
            hides = mask is not None or nodata_of(path, page) is not None
            return hides or declares_opacity(page)
    if path.suffix.lower() == ".npy":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(2**16)
    except OSError as error:
        raise BadFileError(path, f"cannot be read: {error.strerror}") from error
    if head.startswith(PNG_START):
        return head[25:26] in (b"\x04", b"\x06") or b"tRNS" in head
    if head[8:12] == WEBP_NAME:
        return head[12:16] == b"VP8L" or bool(head[20:21] and head[20] & 0x10)
    return False


def read_label(path: str | Path) -> Array:
    """Read a label map upright: (H, W) of integers, palette files as indices, not colours.

    Pixels that the file declares as no data are ignored (255).

    Raises:
        BadFileError: unreadable, several pictures, or not a single band of whole numbers.
    """
    path = Path(path)
    label, nodata = (_load_npy(path), None) if path.suffix.lower() == ".npy" else _label(path)
    if label.ndim != 2 or label.dtype.kind not in "iub":
        raise BadFileError(
            path,
            f"expected one band of class numbers, found {label.dtype} of shape {label.shape}: "
            "convert colours to class numbers first",
            "bands" if label.ndim != 2 else "dtype",
        )
    values = label.astype(np.int64)
    return values if nodata is None else np.where(values == nodata, IGNORE, values)


def write_png(path: Path, image: Array, colours: Array | None = None) -> None:
    """Write a picture (H, W, 3), a label map (H, W), or one that is shown in ``colours`` (256, 3).

    The file is there whole or not at all; its samples are those of ``image``.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    if colours is not None:
        picture.putpalette(colours.tobytes())
    # Pictures: half the time for an eighth more bytes; label maps are small whatever it takes.
    level = 1 if image.ndim == 3 else 6
    with replacing(path) as file:
        picture.save(file, "PNG", compress_level=level)


def _label(path: Path) -> tuple[Array, float | None]:
    """A label map as Pillow reads it, and the value that stands for no data."""
    from PIL import Image, ImageOps

    data, nodata = _read_bytes(path), None
    if data.startswith(TIFF_STARTS):
        with open_tiff(path, data) as (page, _):
            nodata = nodata_of(path, page)
    try:
        with Image.open(io.BytesIO(data)) as file:
            if not data.startswith(TIFF_STARTS):
                _demand_one_picture(path, getattr(file, "n_frames", 1))
            return np.asarray(ImageOps.exif_transpose(file)), nodata
    except BadFileError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        kind = "truncated" if "truncated" in str(error) else "unreadable"
        raise BadFileError(path, f"cannot be read as a label map: {error}", kind) from error


def _demand_one_picture(path: Path, pictures: int) -> None:
    if pictures > 1:
        fault = f"holds {pictures} pictures (an animation?), expected one: split the file"
        raise BadFileError(path, fault, "pages")


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFileError(path, f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadFileError(path, "the file is empty (zero bytes)", "empty")
    return data


def _decode(path: Path) -> Stored:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return Stored(_load_npy(path))
    data = _read_bytes(path)
    if data.startswith(JPEG_START) and not _jpeg_ends(data):
        # OpenCV 4 fills the missing part with grey and says nothing that a program could hear.
        raise BadFileError(path, "truncated: a JPEG without its end marker", "truncated")
    if data.startswith(PNG_START) and _PNG_END not in data:
        raise BadFileError(path, "truncated: a PNG without its end chunk", "truncated")
    if is_tiff(path, data):
        return read_tiff(path, data)
    return _decode_opencv(path, data)


def _decode_opencv(path: Path, data: bytes) -> Stored:
    import cv2

    if data.startswith(b"GIF8"):
        raise BadFileError(path, "is a GIF, which is not read: convert it to PNG")
    header = read_header(data)
    if not data.startswith(JPEG_START):  # phones put a preview after a photograph
        _demand_one_picture(path, header.pictures)
    # As stored, with all bands and bits; a JPEG's four are ink, and become colours.
    flags = cv2.IMREAD_UNCHANGED
    if data.startswith(JPEG_START):
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadFileError(path, f"cannot be decoded: {error.err}") from error
    if decoded is None:
        raise BadFileError(path, "cannot be decoded: broken, truncated or not an image")
    image, turned = upright(in_rgb_order(decoded), header.orientation), header.orientation != 1
    if image.ndim == 2 or image.shape[2] != 4:
        return Stored(image, nodata=transparent_grey(data), turned=turned)
    if data.startswith(PNG_START) and data[25] == _PNG_GREY_ALPHA:
        image = image[:, :, [0, 3]]
    png_or_webp = data.startswith(PNG_START) or data[8:12] == WEBP_NAME
    return Stored(image, "sure" if png_or_webp else "", turned=turned)


def _jpeg_ends(data: bytes) -> bool:
    """Whether the end marker follows the image's own scan: an embedded preview has one too."""
    marker = 2
    while 0 <= marker < len(data) - 3 and data[marker + 1] != 0xDA:  # 0xDA: the scan starts
        length = int.from_bytes(data[marker + 2 : marker + 4], "big")
        step = 1 if data[marker + 1] == 0xFF else 2 + length  # 0xFF 0xFF: a fill byte
        marker = data.find(b"\xff", marker + step)
    return marker >= 0 and data.find(b"\xff\xd9", marker) >= 0


def _load_npy(path: Path) -> Array:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        # The last two: NumPy takes a header that it cannot read for one of Python 2, and parses it.
        raise BadFileError(path, f"cannot be read as NPY: {error}") from error
