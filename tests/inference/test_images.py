"""Images in their units, with what is no data, and of any shape, in every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from sgseg.inference import Segmenter
from sgseg.inference.images import Reader
from sgseg.inference.tiling import image_statistics
from sgseg.io.rows import ArrayRows
from sgseg.io.units import Units
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import scene

Calls = dict[str, Callable[[Segmenter, Any], np.ndarray]]
CALLS: Calls = {
    "one": lambda segmenter, image: segmenter(image)[0],
    "batch": lambda segmenter, image: segmenter.batch([image])[0],
    "large": lambda segmenter, image: segmenter.large(image),
    "rows": lambda segmenter, image: segmenter.large(ArrayRows(image)),
}
DEEP = Units("uint16", 0, 10200)


@pytest.fixture(scope="module", name="make")
def make_fixture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`make(units, standardise=..., ...)`: a segmenter of a small model trained on such images."""
    path = tmp_path_factory.mktemp("model") / "small.pth"

    @cache
    def make(units: Units | None = None, standardise: str = "set", **arguments: Any) -> Segmenter:
        config = small_config(
            **{
                "model.data_preprocessor.standardise": standardise,
                "model.predict_orders": (0,),
                "model.neck.num_blocks": 1,
            }
        )
        save(small_model(config), path)
        content = torch.load(path, weights_only=True)
        content["meta"] = dict(units=units.as_dict()) if units else {}
        torch.save(content, path)
        return Segmenter(path, config, **arguments)

    return make


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("units", [None, Units()], ids=["unsaid", "8 bits"])
def test_other_units_are_refused_unless_stated(make: Any, call: str, units: Units | None) -> None:
    """16 bits, a range of floats, whole numbers: a sentence; stated, the labels of 8 bits."""
    image, segment = scene(40, 50), CALLS[call]
    expected = segment(make(units), image)
    others = {
        "uint16": image.astype(np.uint16) * 257,
        "float32": image.astype(np.float32),
        "int32": image.astype(np.int32),
        "uint16 of 0..10200": image.astype(np.uint16) * 40,
    }
    for other in others.values():
        with pytest.raises(ValueError, match="holds"):
            segment(make(units), other)
    for name, high in (("uint16", 65535), ("float32", 255), ("uint16 of 0..10200", 10200)):
        if call == "rows" and name == "float32":
            continue  # rows of floats state themselves to be in [0, 1]
        stated = make(units, value_range=(0, high))
        assert (segment(stated, others[name]) == expected).mean() >= 0.999
    unit = image.astype(np.float64) / 255  # floats of the whole range need no statement
    assert (segment(make(units), unit) == expected).mean() >= 0.999


@pytest.mark.parametrize("call", CALLS)
def test_the_units_of_the_training(make: Any, call: str) -> None:
    """A model of 0..10200 takes such samples as they are, and 8 bits or [0, 1] not at all."""
    image, segment = scene(40, 50), CALLS[call]
    expected = segment(make(), image)
    found = segment(make(DEEP), image.astype(np.uint16) * 40)
    assert (found == expected).mean() >= 0.999
    with pytest.raises(ValueError, match="trained on uint16 from 0 to 10200"):
        segment(make(DEEP), image)
    if call != "rows":
        with pytest.raises(ValueError, match="trained on uint16 from 0 to 10200"):
            segment(make(DEEP), image / np.float32(255))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused(make: Any, call: str, value: float) -> None:
    """Of a float image, wherever it stands."""
    image = scene(70, 50) / np.float32(255)
    image[65, 3, 1] = value
    with pytest.raises(ValueError, match="nan"):
        CALLS[call](make(tile=32, overlap=8), image)


def test_files_in_other_units(make: Any, tmp_path: Path) -> None:
    """A path is held to the same rule, whatever reads it: whole files, and TIFF by rows."""
    image = scene(40, 50)
    deep = image.astype(np.uint16) * 40
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "plain.png"), image[..., ::-1])
    expected = make()(image)[0]
    np.testing.assert_array_equal(make()(tmp_path / "plain.png")[0], expected)
    for name in ("deep.tif", "deep.png"):
        with pytest.raises(ValueError, match=rf"{name}: holds uint16.*trained on uint8"):
            make()(tmp_path / name)
        for segmenter in (make(DEEP), make(value_range=(0, 10200))):
            assert (segmenter(str(tmp_path / name))[0] == expected).mean() >= 0.999
    with pytest.raises(ValueError, match=r"plain\.png: holds uint8.*trained on uint16"):
        make(DEEP).large(tmp_path / "plain.png")


def test_images_of_pil(make: Any, tmp_path: Path) -> None:
    """Turned upright by their tag, palettes as colours, what is transparent as no data."""
    image = scene(30, 50)
    segmenter = make()
    expected = segmenter(image)[0]
    np.testing.assert_array_equal(segmenter(Image.fromarray(image))[0], expected)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned to the right
    Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as turned:
        np.testing.assert_array_equal(segmenter(turned)[0], expected)
    few = image // 64 * 64
    palette = Image.fromarray(few).quantize(256, Image.Quantize.MEDIANCUT)
    as_colours = segmenter(np.asarray(palette.convert("RGB")))[0]
    np.testing.assert_array_equal(segmenter(palette)[0], as_colours)
    opaque = np.full((30, 50, 1), 255, np.uint8)
    opaque[:5] = 0
    labels = segmenter(Image.fromarray(np.concatenate([image, opaque], 2)))[0]
    assert (labels[:5] == 255).all() and labels[5:].max() < 255
    with pytest.raises(ValueError, match="PIL's mode CMYK"):
        segmenter(Image.new("CMYK", (9, 9)))


@pytest.mark.parametrize("standardise", ["set", "image"])
@pytest.mark.parametrize("tile", [0, 32])
def test_no_data_is_no_class(make: Any, standardise: str, tile: int) -> None:
    """255 there in every call; in an image's own statistics it has no part."""
    image = np.ma.masked_array(scene(40, 70), mask=np.zeros((40, 70, 3), bool))
    image[:10] = 0
    image[:10] = np.ma.masked
    segmenter = make(standardise=standardise, tile=tile, overlap=8, side=0)
    for name in ("one", "batch", "large"):
        labels = CALLS[name](segmenter, image)
        assert (labels[:10] == 255).all() and labels[10:].max() < 255
    rows = segmenter.open(image)
    mean, deviation = image_statistics(rows, 16)
    valid = torch.from_numpy(np.asarray(image[10:])).double() / 255
    torch.testing.assert_close(mean.flatten().double(), valid.mean((0, 1)), atol=1e-5, rtol=0)
    expected = valid.std((0, 1), correction=0)
    torch.testing.assert_close(deviation.flatten().double(), expected, atol=1e-5, rtol=0)


def test_no_data_of_a_file(make: Any, tmp_path: Path) -> None:
    """GDAL's tag is obeyed, at the image's size and at another."""
    image = np.maximum(scene(40, 50), 1)
    image[:, :10] = 0
    tags = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    for options in (dict(side=0), dict(side=20), dict(side=0, tile=32, overlap=8)):
        labels = make(**options)(tmp_path / "a.tif")[0]
        assert (labels[:, :10] == 255).all() and labels[:, 10:].max() < 255


SHAPES = [(1, 1), (1, 300), (300, 1), (2, 2), (3, 40), (5, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["one", "batch", "large"])
def test_extreme_shapes(make: Any, shape: tuple[int, int], name: str) -> None:
    """Labels of the image's size, at its own size, in windows, and at another side."""
    for options in (dict(side=0), dict(side=0, tile=32, overlap=8), dict(side=8)):
        labels = CALLS[name](make(**options), scene(*shape))
        assert labels.shape == shape


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1)])
def test_a_strip_is_not_enlarged_to_a_giant(make: Any, shape: tuple[int, int]) -> None:
    """At a side of 96 it would have 46 million pixels: a sentence says so, and what to do."""
    for segment in CALLS.values():
        with pytest.raises(ValueError, match="give side=0"):
            segment(make(side=96), scene(*shape))


def test_what_is_no_image(make: Any) -> None:
    """Another kind of thing, no pixel, and a range that is none, each by one sentence."""
    with pytest.raises(ValueError, match="expected a path, an array"):
        list(make()([[1, 2], [3, 4]]))
    with pytest.raises(ValueError, match=r"got \(0, 5, 3\)"):
        make()(np.zeros((0, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="from a value to a larger one"):
        Reader(3, None, (5, 5))
