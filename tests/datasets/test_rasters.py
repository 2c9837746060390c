"""Rasters are trained on at their own resolution, in windows, and segmented at that scale."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from PIL import Image

from sgseg.datasets import ImageFolder, ResizeShortest
from sgseg.datasets.folder import WINDOW
from sgseg.engine.checkpoints.portable import add_origin
from sgseg.inference.working_size import WorkingSize
from sgseg.io.georeference import is_georeferenced

SCALE = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
PIPELINE = [
    dict(type="ResizeShortest", size=96, keep_rasters=True),
    dict(type="CropTo", size=96, random=True),
    dict(type="PackInputs"),
]


def draw(path: Path, height: int, width: int) -> np.ndarray:
    """A GeoTIFF whose first ten rows are no data."""
    image = np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)
    image[:10] = 0
    tags = [*SCALE, (42113, "s", 0, "0", True)]
    tifffile.imwrite(path, image, photometric="rgb", extratags=tags)
    return image


def test_windows_cover_a_large_raster(tmp_path: Path) -> None:
    """Each is its part of the file, all of them the whole; a small raster is one item."""
    image = draw(tmp_path / "a.tif", 700, 1100)
    draw(tmp_path / "b.tif", 200, 300)
    data = ImageFolder(str(tmp_path))
    assert len(data) == 7 and data.windows[6] is None
    assert len({data.name(index) for index in range(7)}) == 7
    covered = np.zeros(image.shape[:2], bool)
    for index, corner in enumerate(data.windows[:6]):
        item = data.load(index)
        top, left = corner
        part = np.s_[top : top + WINDOW, left : left + WINDOW]
        valid = image[part].any(2)
        np.testing.assert_array_equal(item["valid"], valid)
        np.testing.assert_array_equal(item["img"][valid], image[part][valid])
        covered[part] = True
    assert covered.all()


def test_a_raster_keeps_its_resolution(tmp_path: Path) -> None:
    """In training pixels of the file; a photograph, or an enlarged chip, is scaled as before."""
    image = draw(tmp_path / "a.tif", 200, 300)
    item = ImageFolder(str(tmp_path), transforms=PIPELINE)[0]["inputs"].numpy().transpose(1, 2, 0)
    corner = (image[:106, :206] == item[0, 0]).all(2)
    assert any((image[y : y + 96, x : x + 96] == item).all() for y, x in zip(*corner.nonzero()))
    keep = ResizeShortest(96, keep_rasters=True)
    assert keep.factor(200, 300, True) == 1 and keep.factor(200, 300) == 0.48
    assert keep.factor(48, 60, True) == 2 and ResizeShortest(96).factor(200, 300, True) == 0.48


@pytest.mark.parametrize(("raster", "scale"), [(True, 1.0), (False, 0.48)])
def test_a_checkpoint_says_the_scale_of_its_training(
    tmp_path: Path, raster: bool, scale: float
) -> None:
    """Rasters are segmented at it: at their own, unless the model has seen shrunk photographs."""
    image = draw(tmp_path / "a.tif", 200, 300)
    if not raster:
        (tmp_path / "a.tif").unlink()
        Image.fromarray(image).save(tmp_path / "a.jpg")
    data = ImageFolder(str(tmp_path), transforms=PIPELINE)
    saved: dict = dict(meta={})
    loader = SimpleNamespace(dataset=data)
    add_origin(SimpleNamespace(cfg=Config(dict(model={})), train_dataloader=loader), saved)
    assert saved["meta"]["scale"] == pytest.approx(scale)
    rule = WorkingSize.checked(96, saved["meta"]["scale"])
    assert rule.of(2500, 3000, raster=True) == (round(2500 * scale), round(3000 * scale))
    assert rule.of(2500, 3000) == (96, 115)


def test_a_world_file_beside_an_image(tmp_path: Path) -> None:
    """Under any of its names; not of an image that is shown turned."""
    picture = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[274] = 6
    for name, world in (("a.jpg", "a.jgw"), ("b.jpg", "b.jpgw"), ("c.png", "c.WLD")):
        picture.save(tmp_path / name)
        assert not is_georeferenced(tmp_path / name)
        (tmp_path / world).write_text("1\n0\n0\n-1\n0\n0\n")
        assert is_georeferenced(tmp_path / name)
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert not is_georeferenced(tmp_path / "a.jpg")
