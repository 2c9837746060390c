"""Transforms: sizes, padding, what reaches the model, and labels that stay on their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from sgseg.datasets import (
    ColorJitter,
    CropTo,
    PackInputs,
    Rescale,
    ResizeShortest,
    ResizeWhole,
    SLICRegions,
    Sobel,
)
from sgseg.registry import TRANSFORMS

Results = dict[str, Any]


def sample(height: int, width: int, bands: int = 3, dtype: str = "uint8") -> Results:
    """Noise with label 100 where the first band is high, else 10: aligned by construction."""
    rng = np.random.default_rng(height * width)
    image = rng.integers(0, 256, (height, width, bands)).astype(dtype)
    if dtype == "float32":
        image /= 255
    label = np.where(image[..., 0] > image[..., 0].mean(), 100, 10).astype(np.uint8)
    return dict(img=image, gt_seg_map=label, index=7, img_shape=(height, width))


@pytest.mark.parametrize(
    ("transform", "size", "expected"),
    [
        (Rescale(0.33), (480, 640), (158, 211)),
        (Rescale(0.5), (6, 9), (3, 4)),
        (Rescale(2.0), (5, 7), (10, 14)),
        (Rescale(0.01), (30, 20), (1, 1)),
        (ResizeShortest(64), (128, 256), (64, 128)),
        (ResizeShortest(64), (300, 200), (96, 64)),
        (ResizeShortest(64), (16, 32), (64, 128)),
        (Rescale(0.33, "bilinear"), (480, 640), (158, 211)),
        (Rescale(0.33, "bilinear"), (427, 640), (141, 211)),
        (Rescale(0.01, "bilinear"), (30, 20), (1, 1)),
        (ResizeWhole(128), (480, 640), (128, 128)),
        (ResizeWhole(16), (9, 70), (16, 16)),
    ],
)
def test_resizing_gives_the_announced_size(
    transform: Rescale | ResizeShortest, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """Image, labels and img_shape agree on the size; labels take no value in between."""
    results = transform(sample(*size))
    assert results["img"].shape == (*expected, 3)
    assert results["gt_seg_map"].shape == results["img_shape"] == expected
    assert set(np.unique(results["gt_seg_map"])) <= {10, 100}


@pytest.mark.parametrize(
    "transform",
    [
        Rescale(0.5),
        Rescale(0.5, "bilinear"),
        ResizeShortest(20),
        ResizeWhole(30),
        CropTo(20),
        CropTo(64),
    ],
)
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_band_axis_and_type_are_kept(transform: Any, bands: int) -> None:
    """A grey image keeps its band axis (OpenCV drops it), and 16-bit data stay float."""
    for dtype in ("uint8", "float32"):
        image = transform(sample(40, 60, bands, dtype))["img"]
        assert image.ndim == 3 and image.shape[2] == bands
        assert image.dtype == dtype


def test_shrinking_averages() -> None:
    """A fine chequerboard shrinks to its mean, not to one of its colours (no aliasing)."""
    board = (np.indices((40, 40)).sum(0) % 2 * 200).astype(np.uint8)[..., None]
    image = Rescale(0.5)(dict(img=board))["img"]
    assert (np.abs(image.astype(int) - 100) <= 1).all()


@pytest.mark.parametrize(
    ("transform", "share"),
    [(Rescale(0.5), 0.0), (Rescale(0.25), 0.0), (Rescale(1.7), 0.07), (ResizeShortest(33), 0.07)],
    ids=["half", "quarter", "1.7", "shortest"],
)
def test_labels_stay_on_their_pixels(transform: Any, share: float) -> None:
    """After resize and crop labels lie on the image's own edges: exactly, or within a pixel."""
    np.random.seed(0)
    image = np.zeros((80, 100, 3), np.uint8)
    image[20:52, 28:76] = 200
    label = (image[..., 0] > 0).astype(np.uint8)
    resized = transform(dict(img=image, gt_seg_map=label))
    for _ in range(20):
        results = CropTo(30, random=True)(dict(resized))
        seen = results["img"][..., 0] > 100
        labelled = results["gt_seg_map"] == 1
        assert (seen != labelled).mean() <= share


def test_crop_keeps_image_and_labels_together() -> None:
    """A random crop cuts both at the same place: pixel by pixel the same relation."""
    results = sample(50, 70)
    limit = results["img"][..., 0].mean()
    for seed in range(5):
        np.random.seed(seed)
        cut = CropTo(32, random=True)(dict(results))
        assert (np.where(cut["img"][..., 0] > limit, 100, 10) == cut["gt_seg_map"]).all()


def test_centre_crop_takes_the_middle() -> None:
    """Scoring looks at the middle of an image."""
    results = sample(51, 70)
    cut = CropTo(30)(dict(results))
    assert (cut["img"] == results["img"][10:40, 20:50]).all()
    assert (cut["gt_seg_map"] == results["gt_seg_map"][10:40, 20:50]).all()
    assert cut["img_shape"] == (30, 30)


def test_random_crop_reaches_every_place() -> None:
    """Corners are seen as well: both ends of the range are drawn, none beyond."""
    np.random.seed(0)
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    crop = CropTo(2, random=True)
    seen = {int(crop(dict(img=image))["img"][0, 0, 0]) for _ in range(300)}
    assert seen == {0, 1, 2, 4, 5, 6}


def iic_crop(data: np.ndarray, size: int, start: tuple[int, int] | None = None) -> np.ndarray:
    """``pad_if_too_small`` and ``pad_and_or_crop`` of IIC, from its description; by hand.

    ``start`` is the corner of a random crop in the padded image; None crops the middle.
    """
    high, wide = max(data.shape[0], size), max(data.shape[1], size)
    padded = np.full((high, wide, *data.shape[2:]), 255 if data.ndim == 2 else 0, data.dtype)
    top = int(high / 2.0) - int(data.shape[0] / 2.0)
    left = int(wide / 2.0) - int(data.shape[1] / 2.0)
    for row in range(data.shape[0]):
        for column in range(data.shape[1]):
            padded[top + row, left + column] = data[row, column]
    if start is None:
        start = int(high / 2.0) - int(size / 2.0), int(wide / 2.0) - int(size / 2.0)
    return padded[start[0] : start[0] + size, start[1] : start[1] + size]


REAL_SIZES = [(360, 640), (640, 360), (480, 640), (427, 640), (500, 333), (200, 200), (388, 385)]


@pytest.mark.parametrize("size", [128, 127])
@pytest.mark.parametrize(("height", "width"), REAL_SIZES)
def test_crop_is_that_of_iic(height: int, width: int, size: int) -> None:
    """Scaled photographs are padded and cropped where IIC does, images and labels alike."""
    scaled = Rescale(0.33, "bilinear")(sample(height, width))
    cut = CropTo(size)(dict(scaled))
    assert np.array_equal(cut["img"], iic_crop(scaled["img"], size))
    assert np.array_equal(cut["gt_seg_map"], iic_crop(scaled["gt_seg_map"], size))


@pytest.mark.parametrize(("height", "width"), REAL_SIZES)
def test_random_crop_is_one_of_those_of_iic(height: int, width: int) -> None:
    """A side that is too small is padded as for scoring, the other is cut anywhere."""
    scaled = Rescale(0.33, "bilinear")(sample(height, width))
    np.random.seed(0)
    drawn = CropTo(128, random=True)(dict(scaled))
    np.random.seed(0)
    corner = [np.random.randint(max(side - 128, 0) + 1) for side in scaled["img"].shape[:2]]
    for key in ("img", "gt_seg_map"):
        assert np.array_equal(drawn[key], iic_crop(scaled[key], 128, (corner[0], corner[1])))


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("size", [(20, 50), (50, 20), (20, 20), (21, 31)])
def test_small_image_is_padded_and_its_padding_ignored(size: tuple[int, int], random: bool) -> None:
    """Padding gets label 255 and black pixels, so that it is never scored as a class."""
    results = sample(*size)
    cut = CropTo(32, random=random)(dict(results))
    assert cut["img"].shape == (32, 32, 3) and cut["gt_seg_map"].shape == (32, 32)
    top, left = (max(16 - side // 2, 0) for side in size)
    padding = np.ones((32, 32), bool)
    padding[top : top + size[0], left : left + size[1]] = False
    assert (cut["gt_seg_map"][padding] == 255).all()
    assert (cut["img"][padding] == 0).all()
    assert not (cut["gt_seg_map"][~padding] == 255).any()


@pytest.mark.parametrize("kind", [Rescale, ResizeShortest, ResizeWhole, CropTo])
@pytest.mark.parametrize("value", [0, -1])
def test_impossible_sizes_raise(kind: type, value: int) -> None:
    """A size of zero or less is refused when the config is built."""
    with pytest.raises(ValueError, match=f"{kind.__name__}: .* = {value}"):
        kind(value)


def test_labels_are_not_packed_unless_asked() -> None:
    """A training batch has no key for labels: they cannot reach the loss."""
    assert set(PackInputs()(sample(4, 6))) == {"inputs", "index"}
    packed = PackInputs(with_labels=True)(sample(4, 6))
    assert set(packed) == {"inputs", "index", "gt"}
    assert packed["gt"].dtype == torch.int64 and packed["gt"].shape == (4, 6)


def test_packing_an_image_without_labels() -> None:
    """A set without labels goes through a pipeline that asks for them."""
    results = sample(4, 6)
    del results["gt_seg_map"]
    assert "gt" not in PackInputs(with_labels=True)(results)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_packed_tensor_holds_the_image(bands: int, dtype: str) -> None:
    """Inputs are (C, H, W) of the image's own type and values, index beside them."""
    results = sample(4, 6, bands, dtype)
    packed = PackInputs()(dict(results))
    assert packed["inputs"].shape == (bands, 4, 6) and packed["inputs"].is_contiguous()
    assert (packed["inputs"].numpy() == results["img"].transpose(2, 0, 1)).all()
    assert packed["index"] == 7


def test_transforms_are_built_by_name() -> None:
    """Configs and the command line may name a transform as a string."""
    for kind, arguments in ((Rescale, dict(factor=0.5)), (CropTo, dict(size=3)), (PackInputs, {})):
        assert type(TRANSFORMS.build(dict(type=kind.__name__, **arguments))) is kind


def test_unknown_interpolation_raises() -> None:
    """A misspelt interpolation is refused with the two there are."""
    with pytest.raises(ValueError, match="'area' or 'bilinear'"):
        Rescale(0.5, "cubic")


def by_loops(grey: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation with zeros around, by plain loops."""
    padded = np.pad(grey, 1)
    found = np.zeros_like(grey)
    for row, column in np.ndindex(*grey.shape):
        found[row, column] = (padded[row : row + 3, column : column + 3] * kernel).sum()
    return found


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_sobel_is_iics(dtype: str) -> None:
    """R, G, B in [0, 1] and the two gradients of grey, zeros around, signs as IIC's kernels."""
    item = sample(9, 11, 3, dtype)
    image = item["img"].astype(np.float64) / (255 if dtype == "uint8" else 1)
    found = Sobel()(dict(item))["img"]
    assert found.shape == (9, 11, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found[..., :3], image, atol=1e-6)
    grey = image @ (0.299, 0.587, 0.114)
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    # Eight-bit grey is rounded once, as IIC's is: half a level, eight times weighted.
    tolerance = 4 / 255 + 1e-6 if dtype == "uint8" else 1e-5
    np.testing.assert_allclose(found[..., 3], by_loops(grey, kernel), atol=tolerance)
    np.testing.assert_allclose(found[..., 4], by_loops(grey, kernel.T), atol=tolerance)
    np.testing.assert_array_equal(Sobel(include_rgb=False)(dict(item))["img"], found[..., 3:])


def test_sobel_wants_colours() -> None:
    """Four bands have no grey of IIC's; the error says what was given."""
    with pytest.raises(ValueError, match=r"expected R, G, B, got an image of \(9, 11, 4\)"):
        Sobel()(sample(9, 11, 4))


def test_a_loss_mask_tells_where_labels_are_and_not_which() -> None:
    """True where a pixel has a label; two images with other labels at the same places agree."""
    results, other = sample(4, 6), sample(4, 6)
    results["gt_seg_map"][1:3, 2] = 255
    other["gt_seg_map"][:] = 3
    other["gt_seg_map"][1:3, 2] = 255
    packed = PackInputs(loss_mask="labelled")(results)
    assert set(packed) == {"inputs", "index", "mask"}
    assert packed["mask"].dtype == torch.bool
    assert (~packed["mask"]).nonzero().tolist() == [[1, 2], [2, 2]]
    assert torch.equal(packed["mask"], PackInputs(loss_mask="labelled")(other)["mask"])


def test_a_loss_mask_needs_labels() -> None:
    """An image without labels is named, with the way out; an unknown mask is refused."""
    results = sample(4, 6) | dict(name="a/b")
    del results["gt_seg_map"]
    with pytest.raises(ValueError, match="a/b has no labels .* loss_mask='all'"):
        PackInputs(loss_mask="labelled")(results)
    with pytest.raises(ValueError, match="choose 'all' or 'labelled'"):
        PackInputs(loss_mask="stuff")


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_slic_regions_follow_the_image(bands: int) -> None:
    """About as many regions as asked for, numbered from zero, none across a sharp edge."""
    image = np.zeros((32, 32, bands), np.uint8)
    image[:, 16:] = 255
    results = SLICRegions(regions=16, compactness=1.0)(sample(32, 32, bands) | dict(img=image))
    regions = PackInputs()(results)["regions"]
    assert regions.dtype == torch.int64 and regions.shape == (32, 32)
    assert sorted(set(regions.flatten().tolist())) == list(range(int(regions.max()) + 1))
    assert 8 <= int(regions.max()) + 1 <= 24
    assert not set(regions[:, :16].flatten().tolist()) & set(regions[:, 16:].flatten().tolist())


def test_impossible_region_counts_raise() -> None:
    """No region is no superpixel."""
    with pytest.raises(ValueError, match="regions = 0"):
        SLICRegions(0)


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_jitter_is_that_of_pillow(name: str, enhance: Any) -> None:
    """What IIC's jitter makes of a PIL image, within the rounding of a level; infrared stays."""
    off = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    place = list(off).index(name)
    image = sample(9, 11, 4)["img"]
    for seed in range(4):
        np.random.seed(seed)
        found = ColorJitter(**off | {name: 0.4})(dict(img=image.copy()))["img"]
        np.random.seed(seed)
        np.random.permutation(4)
        factor = 1 + 0.4 * (2 * np.random.rand(4, 1)[place, 0] - 1)
        expected = np.array(enhance(Image.fromarray(image[..., :3])).enhance(factor))
        assert np.abs(found[..., :3].astype(int) - expected).max() <= 1
        assert np.abs(found[..., :3].astype(int) - image[..., :3]).max() > 3
        assert np.array_equal(found[..., 3], image[..., 3])


def test_jitter_refuses_what_it_cannot_do() -> None:
    """Widths beyond their bounds, and images that are not of 8 bits."""
    with pytest.raises(ValueError, match=r"hue = 0\.7"):
        ColorJitter(hue=0.7)
    with pytest.raises(ValueError, match="holds float32"):
        ColorJitter()(sample(4, 4, 3, "float32"))
