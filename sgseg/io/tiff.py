"""TIFF files read whole, by whichever of tifffile, GDAL, Pillow and OpenCV keeps the samples."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import gdal
from .badfile import BadFileError
from .orientation import JPEG_START, ORIENTATION, PNG_START, upright
from .pixels import Mask, Stored

if TYPE_CHECKING:
    import tifffile

TIFF_SUFFIXES = (".tif", ".tiff")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_STARTS = (JPEG_START, PNG_START, b"RIFF", b"BM")
"""First bytes of formats that are read whatever their suffix says."""
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
"""Pixel scale, tie points, transformation, and the three tags of the coordinate system."""
_NODATA = 42113
"""GDAL's tag: the value of pixels that are no data, as text."""
_GREY_INVERTED, _GREY, _RGB, _PALETTE, _YCC = 0, 1, 2, 3, 6  # photometric interpretations
_JPEG = 7  # compression
_TIFF_ERRORS = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(ImportError, NotImplementedError),
)
"""What tifffile raises on broken headers and codecs it lacks, beside struct's and zlib's errors."""
_WHOLE_BITS = (1, 8, 16, 32, 64)
_ZSTD = 50000  # compression; tifffile lists it and decodes it with imagecodecs alone
_MOST_SQUEEZED = 2000
"""Beyond what TIFF's compressions reach; a broken header must not cost all memory."""

Array = npt.NDArray[Any]


def is_tiff(path: Path, data: bytes) -> bool:
    """Whether a file is read as TIFF, by its first bytes; by its suffix if they say nothing."""
    if data.startswith(TIFF_STARTS):
        return True
    return path.suffix.lower() in TIFF_SUFFIXES and not data.startswith(_OTHER_STARTS)


def holds_tiff(path: Path) -> bool:
    """:func:`is_tiff` of a file on disk; false of one that is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError:
        return False
    return bool(head) and is_tiff(path, head)


@contextmanager
def tiff_faults(path: Path) -> Iterator[None]:
    """Turn what tifffile raises on broken files into a BadFileError."""
    try:
        yield
    except BadFileError:
        raise
    except (*_TIFF_ERRORS, struct.error, zlib.error) as error:
        raise BadFileError(path, f"cannot be read as TIFF: {error}") from error


@contextmanager
def open_tiff(path: Path, data: bytes | None = None) -> Iterator[tuple[Any, Any | None]]:
    """The one image of a TIFF and its internal mask, pixels not yet read.

    Smaller copies of the image (overviews) are passed over.

    Args:
        path: the file.
        data: its bytes, where they are read already.

    Yields:
        tifffile's page of the image, and that of the mask or None.

    Raises:
        BadFileError: truncated, broken, or not one image; errors inside the block as well.
    """
    import tifffile

    logging.getLogger("tifffile").addFilter(_not_of_nodata)
    source: Any = path if data is None else io.BytesIO(data)
    size = path.stat().st_size if data is None else len(data)
    with tiff_faults(path), tifffile.TiffFile(source) as file:
        _demand_an_end(file)
        page = file.pages.first
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)))
        if end > size:
            raise BadFileError(path, f"truncated, {size} of {end} bytes", "truncated")
        if page.nbytes > _MOST_SQUEEZED * size:
            raise ValueError(f"{page.shape} pixels in {size} bytes, the header is broken")
        masks = [other for other in file.pages if other.is_mask and not other.is_reduced]
        _demand_one_image(path, file, page)
        yield page, masks[0] if masks else None


def _not_of_nodata(record: logging.LogRecord) -> bool:
    """False of warnings on a nodata value that is no sample; :func:`nodata_of` reads it."""
    return "GDAL_NODATA" not in record.getMessage()


def _demand_one_image(path: Path, file: tifffile.TiffFile, page: Any) -> None:
    whole = [other for other in file.pages if not (other.is_reduced or other.is_mask)]
    images = max(len(whole), len(file.series[0].pages))
    if images > 1 or page.axes not in ("YX", "YXS", "SYX"):
        raise BadFileError(
            path,
            f"holds {images} images ({page.axes} each), expected one of all bands: split the "
            "file, or keep the page that is meant",
            "pages",
        )


def read_tiff(path: Path, data: bytes) -> Stored:
    """The samples of a TIFF, upright, and what it says about them.

    Raises:
        BadFileError: for a broken file, several images, or a kind that nothing here reads.
    """
    with open_tiff(path, data) as (page, mask):
        image = _samples(path, page, data)
        hidden = None if mask is None else upright(mask.asarray() != 0, orientation_of(page))
        return described(path, page, image, hidden)


def described(path: Path, page: Any, image: Array, mask: Mask | None) -> Stored:
    """Samples of a page, (H, W, bands), with what its tags say about them."""
    opacity = "declared" if declares_opacity(page) else ""
    return Stored(image, opacity, nodata_of(path, page), mask, orientation_of(page) != 1)


def declares_opacity(page: Any) -> bool:
    """Whether the last band is said to be opacity."""
    return bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)


def nodata_of(path: Path, page: Any) -> float | None:
    """The value of pixels that are no data, if the file names one."""
    if _NODATA not in page.tags:
        return None
    text = str(page.tags[_NODATA].value).strip("\0 ")
    try:
        return float(text)
    except ValueError:
        fault = f"its nodata value is {text!r}, expected a number: mend or remove that tag"
        raise BadFileError(path, fault) from None


def orientation_of(page: Any) -> int:
    """EXIF orientation, 1 to 8; a georeference is that of the stored rows, so it stays there."""
    tags = page.tags
    if any(code in tags for code in GEO_TAGS) or ORIENTATION not in tags:
        return 1
    value = int(tags[ORIENTATION].value)
    return value if value in range(1, 9) else 1


def _samples(path: Path, page: Any, data: bytes) -> Array:
    """(H, W, bands), upright."""
    if is_stored(page):
        image = page.asarray()
        image = np.moveaxis(image, 0, 2) if page.axes == "SYX" else image
        return upright(np.atleast_3d(image), orientation_of(page))
    if gdal_keeps(page):
        return upright(gdal.read_rows(path, 0, page.imagelength), orientation_of(page))
    if page.bitspersample <= 8 and _pillow_keeps(page):
        return _with_pillow(path, data)
    if (
        page.bitspersample in (16, 32, 64)
        and page.planarconfig == 1
        and page.samplesperpixel in (1, 3, 4)
    ):
        if page.photometric in (_GREY, _RGB) and orientation_of(page) == 1:
            return _with_opencv(path, data)
    kind = f"TIFF of {page.compression.name}, {page.photometric.name}, {page.samplesperpixel} bands"
    cure = f"{gdal.INSTALL} or convert the file"
    if page.bitspersample not in _WHOLE_BITS:
        kind, cure = f"{kind} of {page.bitspersample} bits", "convert the file to 8 or 16 bits"
    if page.photometric not in (_GREY, _RGB):
        cure = "not a kind that is read; convert the file to RGB or grey"
    raise BadFileError(path, f"{kind}: {cure}")


def is_stored(page: Any) -> bool:
    """Whether tifffile can decode the samples and they are neither indices nor inverted."""
    from tifffile import TIFF

    known = page.compression in TIFF.DECOMPRESSORS and page.predictor in TIFF.UNPREDICTORS
    if page.compression == _ZSTD and find_spec("imagecodecs") is None:
        return False
    return known and page.bitspersample in _WHOLE_BITS and page.photometric in (_GREY, _RGB)


def gdal_keeps(page: Any) -> bool:
    """Whether GDAL is there and gives the samples as stored, or the colours of a JPEG inside."""
    if not gdal.installed() or page.dtype is None or page.dtype.kind not in "uif":
        return False
    if page.bitspersample not in _WHOLE_BITS:
        return False  # GDAL gives 4 bits as 0 to 15 in a byte, which would be read as nearly black
    jpeg = page.compression == _JPEG and page.photometric == _YCC and page.planarconfig == 1
    return page.photometric in (_GREY, _RGB) or jpeg


def _with_opencv(path: Path, data: bytes) -> Array:
    import cv2

    image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise BadFileError(path, "cannot be decoded: broken, truncated or not an image")
    return np.atleast_3d(in_rgb_order(image))


def in_rgb_order(image: Array) -> Array:
    """OpenCV's B, G, R (A) as R, G, B (A)."""
    import cv2

    if image.ndim == 3 and image.shape[2] in (3, 4):
        four = image.shape[2] == 4
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if four else cv2.COLOR_BGR2RGB)
    return image


def _pillow_keeps(page: Any) -> bool:
    """Whether Pillow gives a TIFF of 8 bits or less as it is seen; it mistakes alpha and planes."""
    kinds = ((1, _GREY), (1, _GREY_INVERTED), (1, _PALETTE), (3, _RGB), (4, _RGB), (3, _YCC))
    plain = page.planarconfig == 1 and not (page.samplesperpixel == 4 and declares_opacity(page))
    return plain and (page.samplesperpixel, page.photometric) in kinds


def _with_pillow(path: Path, data: bytes) -> Array:
    from PIL import TiffImagePlugin

    try:
        with TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as file:
            file.load()  # turns it as well
            grey = file.mode in ("1", "L")
            kept = file.mode in ("L", "RGB", "RGBX")
            return np.atleast_3d(np.asarray(file if kept else file.convert("L" if grey else "RGB")))
    except (OSError, SyntaxError, EOFError) as error:
        raise BadFileError(path, f"cannot be read as TIFF: {error}") from error


def _demand_an_end(file: tifffile.TiffFile) -> None:
    """ValueError for pages that form a ring: tifffile follows it until memory is full."""
    handle, form = file.filehandle, file.tiff
    before = handle.tell()
    pointer, seen = form.offsetsize, set()  # where the first page's offset stands
    while True:
        handle.seek(pointer)
        raw = handle.read(form.offsetsize)
        page = struct.unpack(form.offsetformat, raw)[0] if len(raw) == form.offsetsize else 0
        if page in seen:
            raise ValueError(f"its pages form a ring: the one at byte {page} comes again")
        seen.add(page)
        handle.seek(page)
        raw = handle.read(form.tagnosize)
        if page == 0 or len(raw) < form.tagnosize:  # none further, or tifffile will say so
            break
        tags = struct.unpack(form.tagnoformat, raw)[0]
        pointer = page + form.tagnosize + tags * form.tagsize
    handle.seek(before)
