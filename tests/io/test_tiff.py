"""TIFF files whose samples tifffile alone cannot decode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgseg.io import BadFileError
from sgseg.io.images import read_image
from sgseg.io.rows import open_rows

rasterio = pytest.importorskip("rasterio")


def write(path: Path, image: np.ndarray, **options: object) -> Path:
    """A TIFF of (H, W, bands) by GDAL."""
    height, width, bands = image.shape
    size = dict(height=height, width=width, count=bands, dtype=image.dtype)
    with rasterio.open(path, "w", driver="GTiff", photometric=None, **size, **options) as file:
        file.write(image.transpose(2, 0, 1))
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "zstd", "lzma"])
def test_whole_and_by_rows_is_the_same(tmp_path: Path, compression: str | None) -> None:
    """Whatever compression GDAL wrote, both ways of reading give the samples."""
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    path = write(tmp_path / "a.tif", image, compress=compression)
    np.testing.assert_array_equal(read_image(path, 3), image)
    np.testing.assert_array_equal(open_rows(path, 3).rows(0, 40), image)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("bits", [2, 4])
def test_the_largest_of_few_bits_is_white(tmp_path: Path, bits: int) -> None:
    """Samples of 2 and 4 bits fill the range of a byte, instead of being nearly black."""
    steps = np.arange(2**bits, dtype=np.uint8).reshape(1, -1, 1)
    path = write(tmp_path / "a.tif", steps, nbits=bits)
    scaled = steps * (255 // (2**bits - 1))
    np.testing.assert_array_equal(read_image(path, 1), scaled)
    np.testing.assert_array_equal(open_rows(path, 1).rows(0, 1), scaled)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_twelve_bits_are_refused(tmp_path: Path) -> None:
    """One sentence that says what to do, instead of samples in units that nobody stated."""
    path = write(tmp_path / "a.tif", np.ones((8, 8, 1), np.uint16), nbits=12)
    for read in (lambda: read_image(path, 1), lambda: open_rows(path, 1)):
        with pytest.raises(BadFileError, match="12 bits.*convert the file to 8 or 16 bits"):
            read()
