"""Reading images and label maps, with errors that name the file and what was expected; files
that are written whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import tokenize
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import tifffile

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".npy")
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".npy")
TIFF_SUFFIXES = (".tif", ".tiff")
_JPEG_START = b"\xff\xd8\xff"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND"
_WITH_ALPHA = (".png", ".webp")
_GREY_INVERTED, _GREY, _RGB, _PALETTE = range(4)  # TIFF's photometric interpretations
_TIFF_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What tifffile raises on broken headers, beside the errors of struct and zlib."""
_MOST_SQUEEZED = 2000
"""Beyond what TIFF's compressions reach; a broken header must not cost all memory."""

Array = npt.NDArray[Any]


class BadFileError(ValueError):
    """A file that is not what the data set needs; the message starts with its path.

    Args:
        path: the file.
        fault: what was found, what is wanted, what to do.
        kind: ``unreadable``, ``empty``, ``truncated``, ``bands``, ``dtype``, ``size``,
            ``label_range`` or ``label_size``, for reports that count faults.
    """

    def __init__(self, path: str | Path, fault: str, kind: str = "unreadable") -> None:
        super().__init__(f"{path}: {fault}")
        self.path = Path(path)
        self.fault = fault
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its arguments: it crosses from a worker process as itself."""
        return type(self), (self.path, self.fault, self.kind)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name ``path`` when it is whole and on disk.

    An error removes what was written; a killed process leaves at most a ``.part`` file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that ``path`` never holds a part of it."""
    with replacing(path) as file:
        file.write(content)


def find_images(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """All image files below ``folder``, sorted by path; hidden files are left out.

    Raises:
        FileNotFoundError: if the folder is missing or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )
    if not found:
        raise FileNotFoundError(f"{folder}: no image in it; looked for {', '.join(suffixes)}")
    return found


def read_list(path: str | Path) -> list[str]:
    """Names in a list file, one a line; empty lines and ``#`` comments are left out."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_image(path: str | Path, bands: int) -> Array:
    """Read an image with its bands in file order (RGB, not BGR).

    Grey files become three equal bands where three are wanted; the alpha of a PNG or WebP is
    dropped. Nothing else is converted: a four-band TIFF is never cut to three in silence.

    Args:
        path: JPEG, PNG, TIFF, WebP, BMP (8 or 16 bit) or NPY.
        bands: bands wanted.

    Returns:
        (H, W, bands) uint8, or float32 in [0, 1] for 16-bit and float files.

    Raises:
        BadFileError: unreadable, truncated, wrong bands or dtype, or not finite.
    """
    path = Path(path)
    image = _decode(path)
    image = image[:, :, None] if image.ndim == 2 else image
    if image.ndim != 3 or 0 in image.shape:
        raise BadFileError(
            path, f"expected an image of (H, W, bands), found {image.shape}", "bands"
        )
    found = image.shape[2]
    if found == 4 and bands == 3 and path.suffix.lower() in _WITH_ALPHA:
        image = image[:, :, :3]
    elif found == 1 and bands == 3:
        image = np.repeat(image, 3, 2)
    elif found != bands:
        raise BadFileError(
            path,
            f"has {found} bands, expected {bands}: use --bands {found} (`bands` in a config) if "
            "all are meant",
            "bands",
        )
    return unit_range(path, image)


def read_label(path: str | Path) -> Array:
    """Read a label map: (H, W) of integers, palette files as indices, not colours.

    Raises:
        BadFileError: unreadable, or not a single band of whole numbers.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        label = _load_npy(path)
    else:
        from PIL import Image

        if path.is_file() and not path.stat().st_size:
            raise BadFileError(path, "the file is empty (zero bytes)", "empty")
        try:
            with Image.open(path) as file:
                label = np.asarray(file)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            kind = "truncated" if "truncated" in str(error) else "unreadable"
            raise BadFileError(path, f"cannot be read as a label map: {error}", kind) from error
    if label.ndim != 2 or label.dtype.kind not in "iub":
        raise BadFileError(
            path,
            f"expected one band of class numbers, found {label.dtype} of shape {label.shape}: "
            "convert colours to class numbers first",
            "bands" if label.ndim != 2 else "dtype",
        )
    return label.astype(np.int64)


def _decode(path: Path) -> Array:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _load_npy(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFileError(path, f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadFileError(path, "the file is empty (zero bytes)", "empty")
    if data.startswith(_JPEG_START) and not _jpeg_ends(data):
        # OpenCV 4 fills the missing part with grey and says nothing that a program could hear.
        raise BadFileError(path, "truncated: a JPEG without its end marker", "truncated")
    if data.startswith(_PNG_START) and _PNG_END not in data:
        raise BadFileError(path, "truncated: a PNG without its end chunk", "truncated")
    return _decode_tiff(path, data) if suffix in TIFF_SUFFIXES else _decode_opencv(path, data)


def _decode_opencv(path: Path, data: bytes) -> Array:
    import cv2

    # JPEG: turned upright by its EXIF tag. Others as they are, with all bands and bits.
    flags = cv2.IMREAD_UNCHANGED
    if data.startswith(_JPEG_START):
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadFileError(path, f"cannot be decoded: {error.err}") from error
    if image is None:
        raise BadFileError(path, "cannot be decoded: broken, truncated or not an image")
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.ndim == 3 and image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image


def _jpeg_ends(data: bytes) -> bool:
    """Whether the end marker follows the image's own scan: an embedded preview has one too."""
    place = 2
    while 0 <= place < len(data) - 3 and data[place + 1] != 0xDA:  # 0xDA: the scan starts
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        step = 1 if data[place + 1] == 0xFF else 2 + length  # 0xFF 0xFF: a fill byte
        place = data.find(b"\xff", place + step)
    return place >= 0 and data.find(b"\xff\xd9", place) >= 0


def _decode_tiff(path: Path, data: bytes) -> Array:
    import tifffile

    with tiff_faults(path), tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _only_page(path, file, len(data))
        if _stored(page):
            image = page.asarray()
            return np.moveaxis(image, 0, 2) if page.axes == "SYX" else image
    if _opencv_keeps(page):
        return _decode_opencv(path, data)
    kind = f"{page.compression!s}, {page.photometric!s}, {page.samplesperpixel} bands"
    raise BadFileError(path, f"TIFF of {kind}: `pip install imagecodecs` or convert the file")


def tiff_page(path: Path) -> tifffile.TiffPage | None:
    """The page of a TIFF, its pixels not yet read; None if tifffile cannot give them as stored.

    Raises:
        BadFileError: truncated, broken, or not one image.
    """
    import tifffile

    with tiff_faults(path), tifffile.TiffFile(path) as file:
        page = _only_page(path, file, path.stat().st_size)
        return page if _stored(page) else None


@contextmanager
def tiff_faults(path: Path) -> Iterator[None]:
    """Turn what tifffile raises on broken files into a BadFileError."""
    try:
        yield
    except BadFileError:
        raise
    except (*_TIFF_ERRORS, struct.error, zlib.error) as error:
        raise BadFileError(path, f"cannot be read as TIFF: {error}") from error


def _only_page(path: Path, file: tifffile.TiffFile, size: int) -> Any:
    _demand_an_end(file)
    page, images = file.pages.first, len(file.series[0].pages)
    end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)))
    if end > size:
        raise BadFileError(path, f"truncated, {size} of {end} bytes", "truncated")
    if page.nbytes > _MOST_SQUEEZED * size:
        raise ValueError(f"{page.shape} pixels in {size} bytes, the header is broken")
    if images > 1 or page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"holds {images} images ({page.axes}), expected one of all bands")
    return page


def _demand_an_end(file: tifffile.TiffFile) -> None:
    """ValueError for pages that form a ring: tifffile follows it until memory is full."""
    handle, form = file.filehandle, file.tiff
    before = handle.tell()
    place, seen = form.offsetsize, set()  # of the first page's place: behind the magic number
    while True:
        handle.seek(place)
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
        place = page + form.tagnosize + tags * form.tagsize
    handle.seek(before)


def _stored(page: Any) -> bool:
    """Whether tifffile can decode the samples and they are neither indices nor inverted."""
    import tifffile

    known = page.compression in tifffile.TIFF.DECOMPRESSORS
    return known and page.photometric in (_GREY, _RGB)


def _opencv_keeps(page: tifffile.TiffPage) -> bool:
    """Whether OpenCV 5 gives all samples of a TIFF as stored.

    Measured: it mistakes the bands of planar files and of grey files with several bands, and in
    8 bit multiplies an alpha band into the others and garbles tiles, all in silence.
    """
    if page.planarconfig != 1 or page.samplesperpixel not in (1, 3, 4):
        return False
    if page.samplesperpixel == 1:
        return page.photometric in (_GREY, _GREY_INVERTED, _PALETTE)
    if page.photometric != _RGB:
        return False
    unassociated_alpha = 2 in page.extrasamples
    return page.bitspersample == 16 or not (page.is_tiled or unassociated_alpha)


def _load_npy(path: Path) -> Array:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        # The last two: NumPy takes a header that it cannot read for one of Python 2, and parses it.
        raise BadFileError(path, f"cannot be read as NPY: {error}") from error


def unit_range(path: Path, image: Array) -> Array:
    """uint8 as it is, 16 bit and float as float32 in [0, 1]; BadFileError for other values."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype == np.uint16:
        return image.astype(np.float32) / 65535.0
    if image.dtype.kind != "f":
        raise BadFileError(
            path, f"holds {image.dtype}; expected 8 or 16 bit, or float in [0, 1]", "dtype"
        )
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise BadFileError(
            path, "float values must be finite and lie in [0, 1]: scale the file first", "dtype"
        )
    return np.ascontiguousarray(image, dtype=np.float32)
