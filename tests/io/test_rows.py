"""Images read by rows are the images that are read whole."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sgseg.io.badfile import BadFileError
from sgseg.io.images import read_image
from sgseg.io.rows import TiffRows, open_rows

FORMS: dict[str, dict[str, Any]] = {
    "one strip": dict(),
    "strips": dict(rowsperstrip=7, compression="zlib"),
    "strips, predicted": dict(rowsperstrip=7, compression="zlib", predictor=True),
    "tiles": dict(tile=(16, 32), compression="zlib"),
    "tiles, plain": dict(tile=(16, 32)),
    "tiles by band": dict(tile=(16, 16), compression="zlib", planarconfig="separate"),
    "strips by band": dict(rowsperstrip=5, compression="zlib", planarconfig="separate"),
    "one strip by band": dict(planarconfig="separate"),
}


def image(bands: int, dtype: str) -> np.ndarray:
    """Noise of a size that no strip or tile divides."""
    rng = np.random.default_rng(0)
    if dtype == "float32":
        return rng.random((45, 70, bands), np.float32)
    return rng.integers(0, np.iinfo(dtype).max, (45, 70, bands)).astype(dtype)


def write(path: Path, pixels: np.ndarray, form: dict[str, Any]) -> None:
    """A TIFF of one page."""
    form = dict(planarconfig="contig") | form
    if form["planarconfig"] == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None, **form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("bands", "dtype"), [(4, "uint8"), (3, "uint16"), (4, "float32")])
def test_any_rows_of_a_tiff(tmp_path: Path, form: str, bands: int, dtype: str) -> None:
    """Whatever its layout, a TIFF gives the rows that reading it whole gives."""
    if dtype == "float32" and "predictor" in FORMS[form]:
        pytest.skip("tifffile predicts floats only with imagecodecs")
    path = tmp_path / "a.tif"
    write(path, image(bands, dtype), FORMS[form])
    whole, source = read_image(path, bands), open_rows(path, bands)
    assert source.shape == whole.shape
    for start, stop in ((0, 45), (0, 1), (13, 20), (44, 45), (15, 33)):
        rows = source.rows(start, stop)
        assert rows.dtype == whole.dtype
        np.testing.assert_array_equal(rows, whole[start:stop])
        for columns in (slice(0, 70), slice(9, 41), slice(69, 70)):
            part = source.window(start, stop, columns).image
            np.testing.assert_array_equal(part, whole[start:stop, columns])


def test_a_window_of_a_wide_image_reads_no_more(tmp_path: Path) -> None:
    """Of rows of 40,000 pixels, 60 columns take the memory of 60, with and without GDAL."""
    path = tmp_path / "a.tif"
    for form in (dict(), dict(tile=(64, 64), compression="zlib")):
        write(path, np.tile(image(4, "uint8"), (2, 600, 1)), form)  # 15 MB
        source = open_rows(path, 4)
        source.window(0, 8, slice(0, 9))
        tracemalloc.start()
        assert source.window(0, 90, slice(20_000, 20_060)).image.shape == (90, 60, 4)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 500_000


def test_only_what_is_asked_for_is_decoded(tmp_path: Path) -> None:
    """Damage far below does not reach the first rows; where it is reached, the file is named."""
    path = tmp_path / "broken.tif"
    write(path, image(4, "uint8"), FORMS["strips"])
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.dataoffsets[-1]
    content = bytearray(path.read_bytes())
    content[place : place + 20] = b"\0" * 20
    path.write_bytes(content)
    source = open_rows(path, 4)
    assert isinstance(source, TiffRows)
    assert source.rows(0, 20).shape == (20, 70, 4)
    with pytest.raises(BadFileError, match=r"broken\.tif"):
        source.rows(40, 45)


LARGE: dict[str, dict[str, Any]] = {
    "as it is": {},
    "strips": dict(rowsperstrip=16, compression="zlib"),
    "tiles": dict(tile=(64, 64), compression="zlib", predictor=True),
    "tiles by band": dict(tile=(128, 128), compression="zlib", planarconfig="separate"),
    "a BigTIFF": dict(tile=(64, 64), compression="zlib", bigtiff=True),
}


@pytest.mark.parametrize("form", LARGE)
@pytest.mark.parametrize("geo", [True, False], ids=["gdal", "tifffile"])
def test_rows_take_the_memory_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, geo: bool
) -> None:
    """However large the file, far fewer bytes are allocated than it has."""
    monkeypatch.setattr("sgseg.io.gdal.installed", lambda: geo)
    path = tmp_path / "a.tif"
    write(path, np.tile(image(4, "uint8"), (60, 10, 1)), LARGE[form])  # 7.6 MB
    open_rows(path, 4).rows(0, 8)
    tracemalloc.start()
    source = open_rows(path, 4)
    assert source.rows(1350, 1358).shape == (8, 700, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(source, TiffRows) and peak < 5_000_000


@pytest.mark.parametrize("name", ["a.png", "a.npy", "empty.tif", "missing.tif", "short.tif"])
def test_other_files_as_ever(tmp_path: Path, name: str) -> None:
    """Formats without rows are read whole, faults have the words that read_image has."""
    import cv2

    path, pixels = tmp_path / name, image(3, "uint8")
    if name == "a.png":
        cv2.imwrite(str(path), pixels)
    elif name == "a.npy":
        np.save(path, pixels)
    elif name == "empty.tif":
        path.touch()
    elif name == "short.tif":
        write(path, pixels, FORMS["strips"])
        path.write_bytes(path.read_bytes()[:-100])
    if name.startswith("a."):
        np.testing.assert_array_equal(open_rows(path, 3).rows(5, 9), read_image(path, 3)[5:9])
        return
    with pytest.raises(BadFileError) as whole:
        read_image(path, 3)
    with pytest.raises(BadFileError) as by_rows:
        open_rows(path, 3)
    assert str(by_rows.value) == str(whole.value)


def test_wrong_bands_are_refused(tmp_path: Path) -> None:
    """A four-band file is not cut to three on this way either."""
    path = tmp_path / "a.tif"
    write(path, image(4, "uint8"), FORMS["strips"])
    with pytest.raises(BadFileError, match="has 4 bands, expected 3"):
        open_rows(path, 3)
