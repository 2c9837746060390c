"""Segmenter: one image, many, and large ones."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image

from sgseg.cost import measure
from sgseg.inference import Segmenter
from sgseg.inference.tiling import to_unit
from sgseg.inference.working_size import WorkingSize
from sgseg.io.rows import ArrayRows, open_rows
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import Watched, scene

NAMES = ["brick", "grass", "gravel"]


@pytest.fixture(name="make")
def make_fixture(tmp_path: Path) -> Any:
    """`make(side=..., tile=...)`: a segmenter of a small model with named classes."""

    def make(options: dict[str, Any] | None = None, **arguments: Any) -> Segmenter:
        config = small_config(**(options or {}))
        path = save(small_model(config), tmp_path / "small.pth", NAMES)
        return Segmenter(path, config, **arguments)

    return make


def plainly(image: np.ndarray, side: int = 0) -> np.ndarray:
    """Labels by the trained model itself: nothing folded, shared or tiled."""
    config = small_config()
    model = small_model(config)
    inputs = to_unit(image)[None]
    if side:
        factor = side / min(image.shape[:2])
        size = [round(n * factor) for n in image.shape[:2]]
        inputs = F.interpolate(inputs, size, mode="bilinear", antialias=True)
    with torch.no_grad():
        state = model.describe(model.data_preprocessor.normalise(inputs))
        x = model.head_input(state)
        readings = [model.decode_head(x, order).probability for order in model.predict_orders]
        probability = torch.stack(readings).mean(0)
        probability = F.interpolate(probability, image.shape[:2], mode="bilinear")
    return 2 - probability.argmax(1)[0].numpy()  # the checkpoint's table turns clusters round


@pytest.mark.parametrize("side", [0, 40])
def test_labels_are_the_models(make: Any, side: int) -> None:
    """With all that makes it fast, the labels are those of the model as it was trained."""
    image = scene(50, 61)
    labels, state = make(side=side)(image)
    expected = plainly(image, side)
    assert labels.shape == (50, 61)
    assert (labels == expected).mean() >= 0.999
    assert len(np.unique(expected)) > 1
    assert state.superpixels.assignment.shape[1] == 8
    assert make().classes == NAMES


def test_a_batch_is_its_images(make: Any) -> None:
    """Images of several sizes together give, in order, what each gives alone."""
    segmenter = make(tile=64)
    images = [scene(40, 50), scene(32, 32), scene(40, 50) // 2, scene(90, 40), scene(32, 32) // 3]
    together = segmenter.batch(images, batch_size=2)
    for image, labels in zip(images, together, strict=True):
        alone = segmenter(image)[0]
        assert labels.shape == image.shape[:2]
        assert (labels == alone).mean() >= 0.999
    assert segmenter.batch([]) == []


def test_an_image_within_a_tile_is_not_tiled(make: Any) -> None:
    """Bit for bit what it is without tiles; beyond, tiles are used, and only then."""
    image = scene(64, 50)
    whole, tiled = make(tile=0), make(tile=64)
    assert not tiled.tiled(64, 64)
    assert tiled.tiled(65, 10)
    assert not whole.tiled(10**5, 10**5)
    assert torch.equal(whole(image)[1].probability, tiled(image)[1].probability)
    np.testing.assert_array_equal(tiled.large(ArrayRows(image)), whole(image)[0])


def test_large_images_are_tiled_by_themselves(make: Any) -> None:
    """Above 2**20 pixels at the working size, which may be far below the image's own."""
    assert not make().tiled(1024, 1024)
    assert make().tiled(1024, 1025)
    assert not make(side=96).tiled(6000, 6000)


def test_tiles_of_a_large_image(make: Any, tmp_path: Path) -> None:
    """From memory or from the strips of a file: labels of its size, a few rows at a time."""
    image = scene(150, 203)
    segmenter = make(tile=64, overlap=16)
    labels, state = segmenter(image)
    assert state is None
    assert labels.shape == (150, 203)
    watched = Watched(image)
    np.testing.assert_array_equal(segmenter.large(watched), labels)
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression="zlib", rowsperstrip=10)
    np.testing.assert_array_equal(segmenter.large(open_rows(path, 3)), labels)


def test_tiles_at_another_size(make: Any) -> None:
    """With a side the windows lie on the resized image, and labels come back at the image's."""
    image = scene(150, 203)
    segmenter = make(tile=64, overlap=16, side=100)
    assert segmenter.tiled(150, 203)
    labels = segmenter(image)[0]
    small = F.interpolate(to_unit(image)[None], (100, 135), mode="bilinear", antialias=True)
    segmenter.size = WorkingSize(0)
    expected = segmenter((small[0].permute(1, 2, 0)).clamp(0, 1).numpy())[0]
    enlarged = cv2.resize(expected, (203, 150), interpolation=cv2.INTER_NEAREST)
    assert labels.shape == (150, 203)
    assert (labels == enlarged).mean() > 0.9


def test_windows_cost_a_window(make: Any) -> None:
    """Four times the image costs the same memory for activations, not four times."""
    segmenter = make({"model.predict_orders": (0,)}, tile=32, overlap=8)
    low, high = ArrayRows(scene(96, 64)), ArrayRows(scene(384, 64))
    once = measure.peak_bytes(lambda: segmenter.large(low))
    assert measure.peak_bytes(lambda: segmenter.large(high)) < 1.1 * once


def test_what_does_not_fit_is_named(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands, precision and a missing compiler, each in a sentence."""
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\), got \(8, 8, 4\)"):
        make()(np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="precision = 'int8'"):
        make(precision="int8")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="'no-such-compiler' is not there"):
        make(compile=True)


def test_half_precision(make: Any) -> None:
    """bfloat16 convolutions, probabilities in float32; a few labels differ."""
    image = scene(48, 64)
    exact, half = make(), make(precision="bfloat16")
    first, second = exact.network(to_unit(image)[None]), half.network(to_unit(image)[None])
    assert second.dtype == torch.float32
    assert 0 < (first - second).abs().max() < 0.2
    assert (exact(image)[0] == half(image)[0]).mean() > 0.9


@pytest.mark.slow
def test_compiled_labels_agree(make: Any) -> None:
    """torch.compile: equal labels on 99.99 % of pixels, at two sizes and batch sizes."""
    orders = {"model.predict_orders": (0, 5)}
    plain, compiled = make(orders), make(orders, compile=True)
    for count, size in ((1, (48, 64)), (2, (64, 80))):
        images = [scene(*size) // (n + 1) for n in range(count)]
        pairs = zip(plain.batch(images), compiled.batch(images), strict=True)
        assert np.mean([(a == b).mean() for a, b in pairs]) >= 0.9999


def test_names_of_ones_own(make: Any, tmp_path: Path) -> None:
    """A file like classes.json names the values; two of one name are one class from then on."""
    image = scene(40, 50)
    plain, _ = make()(image)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"0": "plant", "1": "ground", "2": "ground"}))
    segmenter = make(names=names)
    assert segmenter.classes == ["plant", "ground"]
    np.testing.assert_array_equal(segmenter(image)[0], np.array([0, 1, 1])[plain])
    segmenter.rename({"0": "all", "1": "all"})
    assert len(np.unique(plain)) > 1 and segmenter(image)[0].max() == 0


@pytest.mark.parametrize(
    "names", ["{", "[]", '{"0": "a", "1": "b"}', '{"0": "a", "1": "b", "2": ""}']
)
def test_names_that_do_not_fit(make: Any, tmp_path: Path, names: str) -> None:
    """No JSON, no table, a value too few, no name: the file and what is wanted are said."""
    path = tmp_path / "names.json"
    path.write_text(names)
    with pytest.raises(ValueError, match=r"names\.json: (no JSON|wanted is one name for each)"):
        make(names=path)


def test_a_result_tells_and_unpacks(make: Any, tmp_path: Path) -> None:
    """Labels, areas, overlay, picture, files, and a line that says what it is."""
    image = scene(40, 50)
    segmenter = make()
    result = segmenter(Image.fromarray(image))
    labels, _ = result
    np.testing.assert_array_equal(result.labels, labels)
    assert repr(segmenter) == "Segmenter of 3 classes (brick, grass, gravel)"
    assert "image, 50 x 40 pixels: " in repr(result) and " %" in repr(result)
    areas = result.areas()
    assert sum(area.pixels for area in areas) == 2000 and areas[0].square_metres is None
    painted = result.colours[labels]
    np.testing.assert_array_equal(result.overlay(1.0), painted)
    np.testing.assert_array_equal(result.overlay(0.0), image)
    below = result.picture()[-60:].reshape(-1, 3)
    for area in areas:  # a square of each colour that occurs stands in the legend
        assert (below == result.colours[area.value]).all(1).sum() >= 900 or not area.pixels
    result.save(tmp_path / "maps")
    with Image.open(tmp_path / "maps/labels/image.png") as file:
        assert file.mode == "P"
        np.testing.assert_array_equal(np.asarray(file), labels)


def test_an_iterable_of_images(make: Any, tmp_path: Path) -> None:
    """Of any kinds: a result each, in their order, when it is asked for."""
    cv2.imwrite(str(tmp_path / "a.png"), scene(40, 50))
    segmenter = make()
    images = [tmp_path / "a.png", scene(32, 32), Image.fromarray(scene(40, 50) // 2)]
    found = segmenter(iter(images))
    for image, result in zip(images, found, strict=True):
        assert (result.labels == segmenter(image).labels).mean() >= 0.999
    assert list(segmenter([])) == []


def test_the_size_that_is_worked_at(make: Any, tmp_path: Path) -> None:
    """Photographs at the shorter side of the training, rasters at their own, or as asked."""
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
    tifffile.imwrite(tmp_path / "a.tif", scene(80, 120), photometric="rgb", extratags=tags)
    cv2.imwrite(str(tmp_path / "b.png"), scene(80, 120))
    for options, raster, photograph in (
        (dict(), (80, 120), (40, 60)),
        (dict(side=20), (20, 30), (20, 30)),
        (dict(side=0), (80, 120), (80, 120)),
        (dict(scale=0.25), (20, 30), (20, 30)),
    ):
        segmenter = make({"predict_side": 40}, **options)
        for name, size in (("a.tif", raster), ("b.png", photograph)):
            assert segmenter.inputs(segmenter.open(tmp_path / name)).shape[2:] == size
    with pytest.raises(ValueError, match=r"--side 8 and --scale 0\.5: give one"):
        make(side=8, scale=0.5)
    with pytest.raises(ValueError, match=r"--scale 0: a part"):
        make(scale=0)
