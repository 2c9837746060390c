"""Image and label files: what is read is what was written, or an error names the file."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from sgseg.datasets.scan import scan
from sgseg.io.badfile import BadFileError
from sgseg.io.images import read_image, read_label, read_list, read_pixels

Writer = Callable[[Path, np.ndarray], None]


def pixels(bands: int, dtype: str = "uint8", height: int = 37, width: int = 53) -> np.ndarray:
    """Noise in which every band differs: (height, width, bands)."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(bands).integers(0, top, (height, width, bands), dtype, True)


def smooth(bands: int = 3, side: int = 120) -> np.ndarray:
    """A gradient that lossy codecs keep within a few grey values."""
    axis = np.linspace(20, 230, side)
    planes = [axis[None, :] + 0 * axis[:, None], axis[:, None] + 0 * axis[None, :]]
    planes += [planes[0] / 2 + planes[1] / 2, 250 - planes[0]]
    return np.stack(planes[:bands], -1).astype(np.uint8)


def opencv(path: Path, image: np.ndarray) -> None:
    """Write with OpenCV, which wants B, G, R first (and compresses TIFF with LZW)."""
    bands = image if image.shape[2] < 3 else image[..., [2, 1, 0, 3][: image.shape[2]]]
    assert cv2.imwrite(str(path), np.ascontiguousarray(bands))


def pillow(path: Path, image: np.ndarray) -> None:
    """Write with Pillow."""
    Image.fromarray(image.squeeze()).save(path)


def tiff(**options: object) -> Writer:
    """Write with tifffile under ``options``."""

    def write(path: Path, image: np.ndarray) -> None:
        bands = image.shape[2]
        settings = dict(photometric="rgb" if bands > 2 else "minisblack", planarconfig="contig")
        settings |= options
        if bands == 1:
            image, settings["planarconfig"] = image[..., 0], None
        elif settings["planarconfig"] == "separate":
            image = np.moveaxis(image, 2, 0)
        tifffile.imwrite(path, image, **settings)

    return write


def jpeg(image: np.ndarray, **options: object) -> bytes:
    """The bytes of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", **options)
    return stream.getvalue()


def unit(image: np.ndarray) -> np.ndarray:
    """What the reader gives: uint8 as it is, uint16 as float32 in [0, 1]."""
    return image if image.dtype == np.uint8 else image.astype(np.float32) / 65535


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_opencv_files_keep_values_and_band_order(
    tmp_path: Path, suffix: str, bands: int, dtype: str
) -> None:
    """PNG and TIFF from OpenCV come back exactly, as R, G, B, (IR), in 8 and 16 bit."""
    image = pixels(bands, dtype)
    path = tmp_path / f"a{suffix}"
    opencv(path, image)
    read = read_image(path, bands)
    assert read.dtype == (np.uint8 if dtype == "uint8" else np.float32)
    np.testing.assert_array_equal(read, unit(image))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "writer",
    [
        tiff(),
        tiff(photometric="minisblack"),
        tiff(compression="zlib", predictor=True),
        tiff(tile=(16, 16)),
        tiff(byteorder=">", rowsperstrip=5),
        tiff(planarconfig="separate"),
    ],
    ids=["contig", "minisblack", "zlib", "tiled", "big-endian", "planar"],
)
def test_tiff_of_any_layout_keeps_all_bands(
    tmp_path: Path, writer: Writer, bands: int, dtype: str
) -> None:
    """No TIFF layout swaps, blends or loses a band: OpenCV alone does all three in silence."""
    image = pixels(bands, dtype)
    writer(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", bands), unit(image))


def test_four_band_tiff_with_alpha_flag_is_not_multiplied_by_it(tmp_path: Path) -> None:
    """Where infrared is 0 the colours survive, though the file calls band four an alpha."""
    image = pixels(4)
    image[:10, :, 3] = 0
    tiff(extrasamples=["unassalpha"])(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 4), image)


@pytest.mark.parametrize(("suffix", "writer"), [(".bmp", opencv), (".bmp", pillow)])
@pytest.mark.parametrize("bands", [1, 3])
def test_bmp_is_exact(tmp_path: Path, suffix: str, writer: Writer, bands: int) -> None:
    """BMP, grey or colour, comes back exactly."""
    writer(tmp_path / f"a{suffix}", pixels(bands))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}", bands), pixels(bands))


@pytest.mark.parametrize("writer", [opencv, pillow])
@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_lossy_files_keep_band_order(tmp_path: Path, suffix: str, writer: Writer) -> None:
    """JPEG and WebP come back as R, G, B, within what the codec loses."""
    writer(tmp_path / f"a{suffix}", smooth())
    difference = read_image(tmp_path / f"a{suffix}", 3).astype(int) - smooth()
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7])
def test_npy_takes_any_number_of_bands(tmp_path: Path, bands: int) -> None:
    """NPY holds any number of bands; 16 bit is scaled to [0, 1] like everywhere."""
    np.save(tmp_path / "a.npy", pixels(bands))
    np.save(tmp_path / "b.npy", pixels(bands, "uint16"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", bands), pixels(bands))
    np.testing.assert_array_equal(
        read_image(tmp_path / "b.npy", bands), unit(pixels(bands, "uint16"))
    )


def test_npy_of_two_dimensions_has_one_band(tmp_path: Path) -> None:
    """An (H, W) array is an image of one band."""
    np.save(tmp_path / "a.npy", pixels(1)[..., 0])
    assert read_image(tmp_path / "a.npy", 1).shape == (37, 53, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_grey_becomes_three_equal_bands(tmp_path: Path, suffix: str) -> None:
    """A grey file in a colour set is read as colour, its three bands equal."""
    opencv(tmp_path / f"a{suffix}", smooth(1))
    read = read_image(tmp_path / f"a{suffix}", 3)
    assert read.shape == (120, 120, 3)
    assert (read == read[..., :1]).all()
    assert np.abs(read[..., :1].astype(int) - smooth(1)).max() <= 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_of_png_is_no_band(tmp_path: Path, dtype: str) -> None:
    """The colours of a PNG with alpha stay as stored where anything of them is seen."""
    image = pixels(4, dtype)
    image[..., 3] |= 1
    opencv(tmp_path / "a.png", image)
    read = read_pixels(tmp_path / "a.png", 3)
    np.testing.assert_array_equal(read.image, unit(image)[..., :3])
    assert read.valid is None


def test_grey_png_with_alpha_is_grey(tmp_path: Path) -> None:
    """Grey and alpha, which OpenCV gives as four bands, is one band, or three equal ones."""
    both = pixels(2)
    both[..., 1] |= 1
    Image.fromarray(both, "LA").save(tmp_path / "a.png")
    for bands in (1, 3):
        read = read_image(tmp_path / "a.png", bands)
        np.testing.assert_array_equal(read, np.repeat(both[..., :1], bands, 2))


@pytest.mark.parametrize(("found", "wanted"), [(4, 3), (3, 4), (1, 4), (2, 3), (3, 1)])
def test_wrong_number_of_bands_raises(tmp_path: Path, found: int, wanted: int) -> None:
    """A TIFF is never cut or padded to the wanted bands: the error says both numbers."""
    tiff()(tmp_path / "a.tif", pixels(found))
    with pytest.raises(BadFileError, match=rf"a\.tif.*{found} bands, expected {wanted}"):
        read_image(tmp_path / "a.tif", wanted)


def test_bands_as_pages_raise(tmp_path: Path) -> None:
    """A TIFF with its bands on four pages is not read as its first band."""
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels(4), 2, 0), photometric="minisblack")
    with pytest.raises(BadFileError, match="4 images"):
        read_image(tmp_path / "a.tif", 1)


def test_exif_rotated_jpeg_is_upright(tmp_path: Path) -> None:
    """A phone photograph lies as it is shown: stored left is shown on top with orientation 6."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40, 0], image[:, 40:, 2] = 250, 250
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=exif, quality=95)
    read = read_image(tmp_path / "a.jpg", 3)
    assert read.shape == (80, 40, 3)
    assert read[10, 20, 0] > 200 > 50 > read[10, 20, 2]
    assert read[70, 20, 2] > 200 > 50 > read[70, 20, 0]


@pytest.mark.parametrize("name", ["ein bild.png", "straße/größe é.png", "写真/画像 1.tif"])
def test_unicode_and_spaces_in_paths(tmp_path: Path, name: str) -> None:
    """Paths with spaces and letters of any script are found and read, labels too."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels(1)[..., 0]).save(path)
    assert scan(tmp_path).paths == [path]
    np.testing.assert_array_equal(read_image(path, 1), pixels(1))
    np.testing.assert_array_equal(read_label(path), pixels(1)[..., 0])


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".tif", ".tiff", ".webp", ".bmp", ".npy", ".JPG"]
)
def test_empty_file_raises(tmp_path: Path, suffix: str) -> None:
    """A file of zero bytes is named."""
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(BadFileError) as error:
        read_image(path, 3)
    assert str(error.value).startswith(str(path)) and error.value.path == path


TRUNCATED = {
    "opencv.png": opencv,
    "opencv.jpg": opencv,
    "opencv.tif": opencv,
    "opencv.webp": opencv,
    "opencv.bmp": opencv,
    "pillow.png": pillow,
    "pillow.jpg": pillow,
    "pillow.webp": pillow,
    "contig.tif": tiff(),
    "zlib.tif": tiff(compression="zlib"),
    "planar.tif": tiff(planarconfig="separate"),
    "tiled.tif": tiff(tile=(32, 32)),
    "array.npy": lambda path, image: np.save(path, image),
}


@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.97])
@pytest.mark.parametrize("name", TRUNCATED)
def test_truncated_file_raises(tmp_path: Path, name: str, share: float) -> None:
    """A download that broke off is named, never read as an image with a grey or black part."""
    path = tmp_path / name
    TRUNCATED[name](path, smooth())
    data = path.read_bytes()
    assert read_image(path, 3).shape == (120, 120, 3)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadFileError) as error:
        read_image(path, 3)
    assert str(path) in str(error.value)


def test_truncated_jpeg_with_preview_raises(tmp_path: Path) -> None:
    """The end marker of an embedded preview does not pass for the photograph's own."""
    preview, photograph = jpeg(smooth(side=16)), jpeg(pixels(3, height=200, width=200))
    length = (len(preview) + 2).to_bytes(2, "big")
    data = photograph[:2] + b"\xff\xe1" + length + preview + photograph[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_image(path, 3).shape == (200, 200, 3)
    path.write_bytes(data[: len(preview) + 2000])
    with pytest.raises(BadFileError, match="truncated"):
        read_image(path, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_with_appended_data_is_accepted(tmp_path: Path, progressive: bool) -> None:
    """A JPEG with a video or maker data behind its end, as phones write, is intact."""
    data = jpeg(smooth(), progressive=progressive)
    (tmp_path / "a.jpg").write_bytes(data + bytes(10_000))
    assert read_image(tmp_path / "a.jpg", 3).shape == (120, 120, 3)


def test_png_named_jpg_is_read(tmp_path: Path) -> None:
    """Contents, not the suffix, decide how a file is read: wrong suffixes are common."""
    pillow(tmp_path / "a.png", pixels(3))
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", 3), pixels(3))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".npy"])
def test_other_contents_raise(tmp_path: Path, suffix: str) -> None:
    """An error page saved under an image's name is named."""
    path = tmp_path / f"a{suffix}"
    path.write_text("<html>404 not found</html>")
    with pytest.raises(BadFileError, match=f"a{suffix}"):
        read_image(path, 3)


def test_missing_file_raises(tmp_path: Path) -> None:
    """A listed but missing image is named."""
    with pytest.raises(BadFileError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png", 3)


def test_truncated_tiff_says_how_much_is_missing(tmp_path: Path) -> None:
    """The error of a broken-off TIFF gives both sizes, so that a copy can be checked."""
    path = tmp_path / "a.tif"
    tiff()(path, pixels(4))
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadFileError, match=f"truncated, 5000 of {whole} bytes"):
        read_image(path, 4)


@pytest.mark.parametrize("geo", [True, False], ids=["gdal", "without"])
@pytest.mark.parametrize(("mode", "bands"), [("RGBA", 4), ("CMYK", 4), ("RGB", 3), ("L", 1)])
def test_lzw_tiff_is_exact_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, bands: int, geo: bool
) -> None:
    """Where what is installed would alter the bands of a TIFF, the error says the cure."""
    monkeypatch.setattr("sgseg.io.gdal.installed", lambda: geo)
    image = Image.fromarray(pixels(bands).squeeze(), mode)
    image.save(tmp_path / "a.tif", compression="tiff_lzw")
    if mode == "CMYK" or (mode == "RGBA" and not geo):
        cure = "convert the file to RGB or grey" if mode == "CMYK" else r"sgseg\[geo\]' or convert"
        with pytest.raises(BadFileError, match=cure):
            read_image(tmp_path / "a.tif", bands)
    else:
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", bands), pixels(bands))


def test_npy_header_that_is_no_python_raises(tmp_path: Path) -> None:
    """NumPy parses it as one of Python 2 then, whose errors are not a ValueError."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((9, 11, 3), np.uint8))
    path = tmp_path / "brackets.npy"
    path.write_bytes(buffer.getvalue().replace(b"3), }", b"3(, }"))
    with pytest.raises(BadFileError, match=r"brackets\.npy: cannot be read as NPY"):
        read_image(path, 3)


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("big", [False, True])
def test_pages_in_a_ring_raise(tmp_path: Path, big: bool, pages: int) -> None:
    """A next page that was there before is followed without end, until memory is full."""
    path = tmp_path / "ring.tif"
    with tifffile.TiffWriter(path, bigtiff=big) as writer:
        for _ in range(pages):
            writer.write(np.zeros((9, 11, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        form, first, last = file.tiff, file.pages.first.offset, file.pages[-1].offset
    data = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from(form.tagnoformat, data, last)
    struct.pack_into(form.offsetformat, data, last + form.tagnosize + tags * form.tagsize, first)
    path.write_bytes(data)
    with pytest.raises(BadFileError, match=r"ring\.tif.*form a ring"):
        read_image(path, 3)


def test_broken_tiff_header_costs_no_memory(tmp_path: Path) -> None:
    """A header that claims gigabytes of pixels is an error, not a killed process."""
    tiff(compression="zlib")(tmp_path / "a.tif", pixels(3))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[tag].overwrite(60_000)
    with pytest.raises(BadFileError, match="the header is broken"):
        read_image(tmp_path / "a.tif", 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_float_in_unit_range_is_kept(tmp_path: Path, suffix: str, dtype: str) -> None:
    """Float images in [0, 1] are taken as they are, as float32."""
    image = np.linspace(0, 1, 4 * 6 * 3, dtype=dtype).reshape(4, 6, 3)
    save(tmp_path / f"a{suffix}", image)
    read = read_image(tmp_path / f"a{suffix}", 3)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, image.astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01, 1.01, 255.0])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_float_out_of_range_raises(tmp_path: Path, suffix: str, bad: float) -> None:
    """One value that is not finite or not in [0, 1] is enough for a named error."""
    image = np.full((4, 6, 3), 0.5, np.float32)
    image[2, 3, 1] = bad
    save(tmp_path / f"a{suffix}", image)
    with pytest.raises(BadFileError, match=r"\[0, 1\]|nan or infinite"):
        read_image(tmp_path / f"a{suffix}", 3)


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_other_types_raise(tmp_path: Path, dtype: str) -> None:
    """Whole numbers of unknown range are not guessed at."""
    np.save(tmp_path / "a.npy", np.ones((4, 6, 3), dtype))
    with pytest.raises(BadFileError, match=dtype):
        read_image(tmp_path / "a.npy", 3)


@pytest.mark.parametrize("shape", [(5,), (0, 4, 3), (2, 3, 4, 3)])
def test_other_shapes_raise(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """An array that is no image is named with its shape."""
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(BadFileError, match="H, W, bands"):
        read_image(tmp_path / "a.npy", 3)


def save(path: Path, image: np.ndarray) -> None:
    """Write floats as NPY or TIFF."""
    if path.suffix == ".npy":
        np.save(path, image)
    else:
        tifffile.imwrite(path, image, photometric="rgb")


def test_palette_label_is_read_as_indices(tmp_path: Path) -> None:
    """A coloured palette PNG, as VOC and COCO-Stuff ship, gives class numbers, not colours."""
    label = np.arange(24, dtype=np.uint8).reshape(4, 6)
    label[0, 0] = 255
    image = Image.fromarray(label, "P")
    image.putpalette(bytes(np.random.default_rng(0).integers(0, 256, 768, np.uint8)))
    image.save(tmp_path / "a.png")
    read = read_label(tmp_path / "a.png")
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, label)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_label_values_are_exact(tmp_path: Path, suffix: str, dtype: str) -> None:
    """Label values are read unscaled, also above 255."""
    label = pixels(1, dtype)[..., 0]
    if suffix == ".npy":
        np.save(tmp_path / "a.npy", label)
    else:
        Image.fromarray(label).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_label(tmp_path / f"a{suffix}"), label)


@pytest.mark.parametrize("bands", [3, 4])
def test_colour_label_raises(tmp_path: Path, bands: int) -> None:
    """Labels painted in colours are refused with the way out, not read as a band."""
    pillow(tmp_path / "a.png", pixels(bands))
    with pytest.raises(BadFileError, match=r"a\.png.*convert colours"):
        read_label(tmp_path / "a.png")


def test_float_label_raises(tmp_path: Path) -> None:
    """Class numbers as floats are refused."""
    np.save(tmp_path / "a.npy", np.zeros((4, 6), np.float32))
    with pytest.raises(BadFileError, match="float32"):
        read_label(tmp_path / "a.npy")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".npy"])
def test_truncated_label_raises(tmp_path: Path, suffix: str, share: float) -> None:
    """A label map that broke off would score wrong pixels as class 0: it is named."""
    path = tmp_path / f"a{suffix}"
    label = pixels(1, height=90, width=90)[..., 0]
    np.save(path, label) if suffix == ".npy" else Image.fromarray(label).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadFileError) as error:
        read_label(path)
    assert str(path) in str(error.value)


def test_scan_sorts_nests_and_skips_hidden(tmp_path: Path) -> None:
    """All image files below a folder in a fixed order; hidden and other files are left out."""
    for name in ("b.png", "a/z.JPG", "a/.hidden.png", "notes.txt", "c.tiff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in scan(tmp_path).paths]
    assert names == ["a/z.JPG", "b.png", "c.tiff"]


def test_read_list_skips_comments_and_empty_lines(tmp_path: Path) -> None:
    """List files may have comments, blank lines and Windows line ends."""
    (tmp_path / "l.txt").write_bytes("# head\r\na\r\n\r\n  b c \r\né\r\n".encode())
    assert read_list(tmp_path / "l.txt") == ["a", "b c", "é"]
