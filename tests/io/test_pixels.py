"""What samples mean: upright in every format, in known units, and without what is no data."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from sgseg.datasets import ImageFolder, LabelledFolder
from sgseg.datasets.scan import scan
from sgseg.datasets.verify import verify
from sgseg.inference.images import Reader
from sgseg.io.badfile import BadFileError
from sgseg.io.georeference import georeference
from sgseg.io.images import read_image, read_label, read_pixels
from sgseg.io.rows import ArrayRows, open_rows
from sgseg.io.units import Units
from sgseg.models.preprocessor import ImagePreprocessor
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.field import scenes

HIDDEN_ROWS = 20
TRANSFORMS = [
    dict(type="ResizeShortest", size=32),
    dict(type="CropTo", size=32),
    dict(type="PackInputs"),
]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_one_rule_for_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Images, rows of them, and label maps lie as Pillow's own turning shows them."""
    exif = Image.Exif()
    exif[scenes.ORIENTATION] = orientation
    image, labels = (pixels[:40] for pixels in scenes.scene(0, noise=0))
    options: dict[str, Any] = dict(lossless=True) if suffix == "webp" else {}
    path = scenes.save(tmp_path / f"a.{suffix}", image, exif=exif, **options)
    plain = Image.fromarray(image)
    plain.getexif()[scenes.ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(plain)).astype(int)
    worst = 40 if suffix == "jpg" else 0  # at its edges
    assert np.abs(read_image(path, 3).astype(int) - expected).max() <= worst
    height = expected.shape[0]
    assert np.abs(open_rows(path, 3).rows(0, height).astype(int) - expected).max() <= worst
    if suffix in ("png", "tif"):
        path = scenes.save(tmp_path / f"l.{suffix}", labels, exif=exif)
        flat = Image.fromarray(labels)
        flat.getexif()[scenes.ORIENTATION] = orientation
        np.testing.assert_array_equal(read_label(path), np.asarray(ImageOps.exif_transpose(flat)))


def test_a_map_that_lies_the_other_way_is_named(tmp_path: Path) -> None:
    """An image that its tag turns, and a map drawn on the stored rows: the error says why."""
    exif = Image.Exif()
    exif[scenes.ORIENTATION] = 6
    image, labels = (pixels[:40] for pixels in scenes.scene(0))
    scenes.save(tmp_path / "images/a.png", image, exif=exif)
    scenes.save(tmp_path / "labels/a.png", labels)
    (tmp_path / "classes.txt").write_text("dark\nbright\ngreen\n")
    with pytest.raises(BadFileError, match=r"64 x 40 .* 40 x 64 .*turned against each other"):
        LabelledFolder(str(tmp_path))[0]
    report = verify(tmp_path)
    assert [fault.kind for fault in report.faults] == ["label_size"]
    assert "1 images are turned upright" in report.text()


def test_a_georeferenced_raster_is_not_turned(tmp_path: Path) -> None:
    """Its place on the earth is that of the stored rows, and GIS programs turn nothing."""
    image = scenes.scene(0)[0]
    tags = [(274, "H", 1, 6, True), *scenes.GEOREFERENCE]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3), image)


@pytest.mark.parametrize(
    "draw", [scenes.draw_ycc_tiff, scenes.draw_tiled_ycc_tiff], ids=["strips", "tiles"]
)
def test_luminance_and_chroma_in_tiff(tmp_path: Path, draw: Any) -> None:
    """JPEG-compressed YCbCr, in strips and tiles, has the colours that were put in."""
    draw(tmp_path)
    (path,) = tmp_path.iterdir()
    difference = read_image(path, 3).astype(int) - scenes.scene(0, noise=0)[0]
    assert np.abs(difference).mean() < 2 and np.abs(difference).max() < 40


def test_a_kind_of_tiff_that_is_not_read_is_named(tmp_path: Path) -> None:
    """CMYK without compression: no advice to install what would not help."""
    Image.fromarray(scenes.scene(0)[0]).convert("CMYK").save(tmp_path / "a.tif")
    with pytest.raises(BadFileError, match="SEPARATED, 4 bands: not a kind that is read"):
        read_image(tmp_path / "a.tif", 4)


def test_cmyk_jpeg_has_its_colours(tmp_path: Path) -> None:
    """The four inks of a JPEG become red, green and blue."""
    image = scenes.scene(0, noise=0)[0]
    Image.fromarray(image).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg", 3).astype(int) - image).mean() < 3


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_several_pictures_in_an_image(tmp_path: Path, suffix: str) -> None:
    """An animation or a TIFF of pages is refused with its count; the first is not taken."""
    frames = [Image.fromarray(scenes.scene(seed)[0]) for seed in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(BadFileError, match="holds 3 (pictures|images)") as error:
        read_image(tmp_path / f"a.{suffix}", 3)
    assert error.value.kind == "pages"


def test_pages_of_unlike_sizes_are_several_images(tmp_path: Path) -> None:
    """A second page of another size is no overview unless the file says so."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for side in (64, 48):
            file.write(scenes.scene(0, side)[0], photometric="rgb", metadata=None)
    with pytest.raises(BadFileError, match="holds 2 images"):
        read_image(tmp_path / "a.tif", 3)


def test_pages_in_label_maps(tmp_path: Path) -> None:
    """Three pages in a label map are refused when it is read, and found by verify."""
    scenes.draw_pages(tmp_path)
    with pytest.raises(BadFileError, match=r"labels/im0\.tif: holds 3 images"):
        LabelledFolder(str(tmp_path))[0]
    assert {fault.kind for fault in verify(tmp_path).faults} == {"pages"}


def test_units_follow_the_set(tmp_path: Path) -> None:
    """A stated range is what becomes 0 and 1; without one it is the type's; another type raises."""
    scenes.draw_raster_0_10200(tmp_path)
    whole, stated = ImageFolder(str(tmp_path)), ImageFolder(str(tmp_path), value_range=(0, 10200))
    assert whole.units == Units("uint16", 0, 65535) and stated.units == Units("uint16", 0, 10200)
    reference = scenes.scene(0)[0] / 255
    np.testing.assert_allclose(stated.load(0)["img"], reference, atol=1e-6)
    np.testing.assert_allclose(whole.load(0)["img"], reference * 10200 / 65535, atol=1e-6)
    report = verify(tmp_path)
    assert report.faults == [] and "uint16" in report.text() and "value_range" in report.text()
    scenes.save(tmp_path / "z.png", scenes.scene(1)[0])
    mixed = ImageFolder(str(tmp_path))
    with pytest.raises(BadFileError, match=r"z\.png: holds uint8 .* expected uint16 from 0"):
        mixed.load(1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_values_are_counted(tmp_path: Path, bad: float) -> None:
    """Floats that are no numbers, and not declared as nodata, are refused with their count."""
    image = np.full((8, 8, 3), 0.5, np.float32)
    image[:2] = bad
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(BadFileError, match="holds 48 values of 192 that are nan or infinite"):
        read_image(tmp_path / "a.npy", 3)


def hidden_rasters(folder: Path) -> dict[str, Path]:
    """One image in every form of saying that its upper rows are no data."""
    for name, value, dtype in (
        ("zero", 0, "uint8"),
        ("far", -9999, "float32"),
        ("lowest", float(np.finfo(np.float32).min), "float32"),
        ("nan", np.nan, "float64"),
        ("top", 65535, "uint16"),
    ):
        scenes.draw_nodata(folder / name, value=value, dtype=dtype)
    scenes.draw_nodata_by_mask(folder / "mask")
    scenes.draw_nodata_by_opacity(folder / "opacity")
    return {path.parent.name + path.suffix: path for path in sorted(folder.rglob("*.*"))}


FORMS = ["zero.tif", "far.tif", "nan.tif", "top.tif", "mask.tif", "opacity.tif", "opacity.png"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_data_is_known(tmp_path: Path, form: str) -> None:
    """Value, mask or opacity: the same pixels are invalid, and hold the mean of the others."""
    path = hidden_rasters(tmp_path)[form]
    image, valid = read_pixels(path, 3)
    assert valid is not None
    assert not valid[:HIDDEN_ROWS].any() and valid[HIDDEN_ROWS:].all()
    mean = image[HIDDEN_ROWS:].reshape(-1, 3).astype(float).mean(0)
    tolerance = 0.51 if image.dtype == np.uint8 else 1e-5
    assert np.abs(image[:HIDDEN_ROWS] - mean).max() <= tolerance
    rows = open_rows(path, 3)
    part = rows.valid(10, 30)
    assert part is not None
    np.testing.assert_array_equal(part, valid[10:30])
    np.testing.assert_array_equal(rows.rows(30, 50), image[30:50])


def test_nodata_as_gdal_writes_the_lowest_float(tmp_path: Path) -> None:
    """The tag's text is a float64's; the samples are float32."""
    image = np.full((8, 8, 3), 0.5, np.float32)
    image[:3] = np.finfo(np.float32).min
    tags = [(scenes.NODATA, "s", 0, "-3.4028234663852886e+38", True)]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    valid = read_pixels(tmp_path / "a.tif", 3).valid
    assert valid is not None and not valid[:3].any() and valid[3:].all()


def test_a_black_band_is_data(tmp_path: Path) -> None:
    """With nodata = 0 a pixel is no data where all bands are 0, not where red is."""
    image = np.full((8, 8, 3), 90, np.uint8)
    image[:4, :, 0], image[:2] = 0, 0
    tags = [(scenes.NODATA, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    valid = read_pixels(tmp_path / "a.tif", 3).valid
    assert valid is not None and not valid[:2].any() and valid[2:].all()


def test_infrared_called_opacity_is_not_dropped(tmp_path: Path) -> None:
    """A fourth band of values is data, whatever the file calls it, by rows as well."""
    image = np.dstack([scenes.scene(0)[0], scenes.scene(1)[0][..., :1]])
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    for read in (read_pixels, open_rows):
        with pytest.raises(BadFileError, match="4 bands, expected 3; the last is declared as opac"):
            read(tmp_path / "a.tif", 3)
    assert read_pixels(tmp_path / "a.tif", 4).valid is None


def test_arrays_say_themselves_what_is_valid() -> None:
    """Rows of an array: its units, and the mask that came with it."""
    image = scenes.draw_uint16_array()
    valid = np.ones(image.shape[:2], bool)
    valid[:5] = False
    rows = ArrayRows(image, "array", Units("uint16", 0, 65535), valid)
    np.testing.assert_allclose(rows.rows(5, 9), scenes.scene(0)[0][5:9] / 255, atol=1e-6)
    np.testing.assert_array_equal(rows.valid(3, 7), valid[3:7])
    with pytest.raises(BadFileError, match="array: holds uint16 .* expected uint8"):
        ArrayRows(image, "array", Units()).rows(0, 4)


def test_labels_of_hidden_pixels_are_ignored(tmp_path: Path) -> None:
    """No score is given on pixels without data: of the image, or of the map's own nodata value."""
    scenes.draw_nodata(tmp_path / "images", count=2)
    for seed, path in enumerate(sorted((tmp_path / "images").iterdir())):
        labels = scenes.scene(seed)[1]
        tags = [(scenes.NODATA, "s", 0, "2", True)]
        out = tmp_path / "labels" / path.name
        out.parent.mkdir(exist_ok=True)
        tifffile.imwrite(out, labels, photometric="minisblack", extratags=tags)
    (tmp_path / "classes.txt").write_text("dark\nbright\ngreen\n")
    transforms = [dict(type="PackInputs", with_labels=True)]
    item = LabelledFolder(str(tmp_path), transforms=transforms)[0]
    expected = scenes.scene(0)[1].astype(int)
    expected[(expected == 2)] = 255
    expected[:HIDDEN_ROWS] = 255
    np.testing.assert_array_equal(item["gt"].numpy(), expected)
    assert not item["valid"][:HIDDEN_ROWS].any() and item["valid"][HIDDEN_ROWS:].all()


def test_statistics_leave_hidden_pixels_out(tmp_path: Path) -> None:
    """An image standardised by itself gets the scale that its valid pixels alone have."""
    scenes.draw_nodata(tmp_path / "set", count=2)
    dataset = ImageFolder(str(tmp_path / "set"), transforms=TRANSFORMS)
    items = [dataset[index] for index in range(2)]
    batch = {key: torch.stack([item[key] for item in items]) for key in ("inputs", "valid")}
    hidden = batch["valid"].clone()
    ready = ImagePreprocessor(standardise="image")(dict(batch))
    assert set(ready) == {"inputs"}
    for image, valid in zip(ready["inputs"], hidden, strict=True):
        held = image[:, valid]
        torch.testing.assert_close(held.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(held.std(1, correction=0), torch.ones(3), atol=1e-5, rtol=0)
        assert not valid[: HIDDEN_ROWS // 2 - 1].any() and valid[HIDDEN_ROWS // 2 + 1 :].all()


def test_flips_move_what_is_valid_with_the_image(tmp_path: Path) -> None:
    """mmcv's own flip turns image and validity alike; whole sets carry no such key."""
    scenes.draw_nodata(tmp_path / "set")
    flip = dict(type="mmcv.RandomFlip", prob=1.0, direction="vertical")
    item = ImageFolder(str(tmp_path / "set"), transforms=[flip, dict(type="PackInputs")])[0]
    assert item["valid"][:-HIDDEN_ROWS].all() and not item["valid"][-HIDDEN_ROWS:].any()
    scenes.draw_few_images(tmp_path / "whole")
    assert set(ImageFolder(str(tmp_path / "whole"))[0]) == {"inputs", "index"}


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (scenes.draw_masks_0_255, "1 of 2 classes have no pixel.*object.*0 and 255 alone"),
        (scenes.draw_all_ignored, "all pixels of 8 maps are ignored"),
    ],
)
def test_verify_finds_labels_that_score_nothing(tmp_path: Path, draw: Any, message: str) -> None:
    """Masks of 0 and 255, and maps that are all 255, are faults with their cause."""
    draw(tmp_path)
    (fault,) = verify(tmp_path).faults
    assert fault.kind == "labels"
    assert re.search(message, fault.message)


def test_a_set_that_cannot_be_scored_is_refused_at_the_start(tmp_path: Path) -> None:
    """All ignored: an error before any training, with what to do."""
    scenes.draw_all_ignored(tmp_path)
    with pytest.raises(ValueError, match="all pixels of 8 label maps are ignored"):
        LabelledFolder(str(tmp_path))


def test_a_class_without_a_pixel_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks of 0 and 255 are named as the likely cause; a set that has all classes says nothing."""
    said: list[str] = []
    monkeypatch.setattr("sgseg.datasets.labels.print_log", lambda text, **_: said.append(text))
    scenes.draw_masks_0_255(tmp_path / "masks")
    LabelledFolder(str(tmp_path / "masks"))
    assert "(object)" in said[0] and "write such masks with 0 and 1" in said[0]
    scenes.draw_labelled_folder(tmp_path / "whole")
    LabelledFolder(str(tmp_path / "whole"))
    assert len(said) == 1


def test_a_stated_range_holds_for_the_scored_set_too(tmp_path: Path) -> None:
    """value_range of the training set reaches the others, unless they state their own."""
    scenes.draw_labelled_folder(tmp_path)
    config = build_config(
        ROOT / "configs/sgseg/sgseg_diffgcn_folder.py",
        data=tmp_path,
        options={
            "train_dataloader.dataset.value_range": (0, 200),
            "test_dataloader.dataset.value_range": (0, 100),
        },
    )
    assert tuple(config.val_dataloader.dataset.value_range) == (0, 200)
    assert tuple(config.test_dataloader.dataset.value_range) == (0, 100)


@pytest.mark.parametrize(("bits", "value"), [(1, 1), (4, 5), (8, 50), (16, 5000)])
def test_the_transparent_grey_of_a_png(tmp_path: Path, bits: int, value: int) -> None:
    """A grey PNG without a band of opacity names one value as transparent: no data."""
    grey = np.random.default_rng(0).integers(0, 2**bits, (16, 16))
    grey[:4] = value
    path = tmp_path / "a.png"
    path.write_bytes(grey_png(grey, bits, value))
    np.testing.assert_array_equal(read_pixels(path, 3).valid, grey != value)
    assert ImageFolder(str(tmp_path)).masked


def grey_png(grey: np.ndarray, bits: int, transparent: int) -> bytes:
    """A PNG with a tRNS chunk, which Pillow writes for 8 bits alone."""

    def chunk(kind: bytes, held: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + held))
        return struct.pack(">I", len(held)) + kind + held + check

    height, width = grey.shape
    ones = (grey[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(ones.reshape(height, -1).astype(np.uint8), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", transparent))
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("ends", [(0, float("inf")), (float("-inf"), 1), (float("nan"), 1)])
def test_ends_that_are_no_numbers(ends: tuple[float, float]) -> None:
    """An infinite end would make every sample 0 or nan."""
    with pytest.raises(ValueError, match="from a value to a larger one, both finite"):
        Units("float", *ends)


def test_nan_beside_a_declared_value_is_no_data(tmp_path: Path) -> None:
    """Warped rasters hold -9999 where they end and nan where a division failed."""
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    image[:4], image[4, 4, 1] = -9999, np.nan
    tags = [(scenes.NODATA, "s", 0, "-9999", True)]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    expected = np.ones((16, 16), bool)
    expected[:4], expected[4, 4] = False, False
    pixels = read_pixels(tmp_path / "a.tif", 3)
    np.testing.assert_array_equal(pixels.valid, expected)
    assert np.isfinite(pixels.image).all()


def test_a_nodata_value_that_no_sample_holds_is_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """GDAL's -9999 on 8 bits is an everyday tag; nothing is wrong with the file."""
    tags = [(scenes.NODATA, "s", 0, "-9999", True)]
    image = scenes.scene(0)[0]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 3).image, image)
    assert "GDAL_NODATA" not in capfd.readouterr().err + caplog.text


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_integers_without_usual_ends(tmp_path: Path, dtype: str) -> None:
    """Elevations are read once their ends are stated; before, the error says how."""
    heights = np.random.default_rng(0).integers(0, 900, (16, 16)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", heights, photometric="minisblack")
    with pytest.raises(BadFileError, match=r"has no usual ends: state .* --value-range LOW HIGH"):
        read_pixels(tmp_path / "a.tif", 1)
    images = ImageFolder(str(tmp_path), bands=1, value_range=(0, 1000))
    assert images.units == Units(dtype, 0, 1000)
    expected = heights[..., None].astype(np.float32) / 1000
    np.testing.assert_allclose(images.load(0)["img"], expected, rtol=1e-6)
    rows = open_rows(tmp_path / "a.tif", 1, images.units).rows(0, 16)
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    assert Reader(1, images.units).units_for(dtype) == images.units
    with pytest.raises(ValueError, match="image: holds uint8, this model was trained on"):
        Reader(1, images.units).units_for("uint8")


def test_two_values_are_to_be_converted(tmp_path: Path) -> None:
    """A TIFF of one bit has no scale: the error says what to make of it."""
    tifffile.imwrite(tmp_path / "a.tif", scenes.scene(0)[1] > 0, photometric="minisblack")
    with pytest.raises(BadFileError, match="holds bool; expected .* two values to 8 bits"):
        read_pixels(tmp_path / "a.tif", 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_another_format_named_tif(tmp_path: Path, kind: str) -> None:
    """The first bytes say what a file is, in every reader."""
    image, path = scenes.scene(0)[0], tmp_path / "a.tif"
    Image.fromarray(image).save(path, kind, quality=100, lossless=True)
    worst = 8 if kind == "JPEG" else 0
    assert np.abs(read_image(path, 3).astype(int) - image).mean() <= worst
    assert np.abs(open_rows(path, 3).rows(0, 64).astype(int) - image).mean() <= worst
    assert ImageFolder(str(tmp_path)).units == Units() and georeference(path) is None
    assert len(scan(tmp_path).paths) == 1
