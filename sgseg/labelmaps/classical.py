"""Classical superpixels: SLIC, SEEDS, FH and a plain grid, by one function.

Shapes: image (H, W, C) -> labels (H, W). scikit-image, and for SEEDS opencv-contrib, are imported
when they are used. Sources: SLIC, Achanta et al. (TPAMI 2012); SEEDS, Van den Bergh et al.
(IJCV 2015); FH, Felzenszwalb and Huttenlocher (IJCV 2004).
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from .connectivity import smallest_size

Classic = Literal["slic", "seeds", "fh", "grid"]
Labels = npt.NDArray[np.int64]

_FH_TRIALS = 6
_FH_CLOSE = 0.1


def classical_superpixels(
    image: npt.NDArray[Any],
    count: int,
    method: Classic = "slic",
    compactness: float = 10.0,
    smoothing: float | None = None,
) -> Labels:
    """Divide an image into about ``count`` superpixels.

    Every method's labels are as it leaves them: pieces may be unconnected, and more or fewer than
    asked. :func:`.connectivity.enforce_connectivity` mends both.

    Args:
        image: (H, W, C), uint8 or float in [0, 1]; three bands are taken for RGB, and their
            colours compared in Lab by SLIC.
        count: superpixels wanted, at least 1.
        method: ``slic``; ``seeds``, which needs opencv-contrib-python; ``fh``, whose scale is
            searched until the number is within a tenth of ``count`` (at most six trials);
            ``grid``, the largest grid of nearly square cells with no more than ``count``.
        compactness: of SLIC only: the colour difference, in units of Lab's L of 0 to 100, that
            weighs as much as the distance between two neighbouring superpixels.
        smoothing: deviation in pixels of the Gaussian that the image is smoothed with first;
            default each method's own, 0.8 for FH and none for the others. A grid sees no image.

    Raises:
        ValueError: for an image of another shape, an unknown method, ``count`` < 1,
            ``compactness`` <= 0 or ``smoothing`` < 0.
        RuntimeError: for ``seeds`` without opencv-contrib.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"classical_superpixels: expected (H, W, C), got {image.shape}")
    if count < 1 or method not in get_args(Classic):
        raise ValueError(
            f"classical_superpixels: method = {method!r} must be one of {get_args(Classic)} and "
            f"count = {count} >= 1"
        )
    if compactness <= 0 or (smoothing is not None and smoothing < 0):
        raise ValueError(
            f"classical_superpixels: compactness = {compactness} must be > 0 and smoothing = "
            f"{smoothing} >= 0 pixels"
        )
    height, width = image.shape[:2]
    count = min(count, height * width)
    if method == "grid" or count == 1 or min(height, width) < 2:  # no other divides a line
        return grid(height, width, count)
    scaled = image / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)
    if method == "slic":
        return _slic(scaled, count, compactness, smoothing or 0.0)
    if method == "fh":
        return _fh(scaled, count, 0.8 if smoothing is None else smoothing)
    return _seeds(
        gaussian_filter(scaled, (smoothing, smoothing, 0)) if smoothing else scaled, count
    )


def grid(height: int, width: int, count: int) -> Labels:
    """(H, W): cells of a regular grid, at most ``count``, as square as they can be."""
    rows = max(1, min(height, count, round((count * height / width) ** 0.5)))
    columns = max(1, min(width, count // rows))
    row = np.arange(height) * rows // height  # (H,)
    column = np.arange(width) * columns // width  # (W,)
    return (row[:, None] * columns + column).astype(np.int64)


def _slic(
    image: npt.NDArray[np.float64], count: int, compactness: float, smoothing: float
) -> Labels:
    from skimage.segmentation import slic

    colour = image.shape[2] == 3
    labels = slic(
        image,
        n_segments=count,
        # scikit-image stretches the bands to [0, 1]; Lab's L reaches 100.
        compactness=compactness if colour else compactness / 100,
        sigma=smoothing,
        convert2lab=colour,
        enforce_connectivity=False,
        start_label=0,
        channel_axis=2,
    )
    return labels.astype(np.int64)


def _fh(image: npt.NDArray[np.float64], count: int, smoothing: float) -> Labels:
    """FH at the scale whose number of segments comes closest to ``count``."""
    from skimage.segmentation import felzenszwalb

    least = smallest_size(image.shape[0], image.shape[1], count)
    # Where the search ends on photographs of 481 x 321 with 100 to 400 superpixels.
    scale = 4.3 * (image.shape[0] * image.shape[1] / count) ** 0.5
    best, best_miss = np.zeros(image.shape[:2], np.int64), np.inf
    for _ in range(_FH_TRIALS):
        with warnings.catch_warnings():
            # It asks whether four bands are meant, although channel_axis says so.
            warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)
            labels = felzenszwalb(
                image, scale=scale, sigma=smoothing, min_size=least, channel_axis=2
            )
        number = int(labels.max()) + 1
        miss = abs(np.log(number / count))
        if miss < best_miss:
            best, best_miss = labels.astype(np.int64), miss
        if abs(number - count) <= _FH_CLOSE * count:
            break
        # The number falls with about the 0.7th power of the scale on photographs.
        scale = float(np.clip(scale * (number / count) ** 1.4, 1e-2, 1e7))
    return best


def _seeds(image: npt.NDArray[np.float64], count: int) -> Labels:
    import cv2

    if not hasattr(cv2, "ximgproc"):
        raise RuntimeError(
            "SEEDS is in opencv-contrib, and the installed OpenCV has no cv2.ximgproc: replace it "
            "(pip uninstall opencv-python; pip install opencv-contrib-python), or use slic or fh"
        )
    height, width, bands = image.shape
    pixels: Any = (image * 255).round().clip(0, 255).astype(np.uint8)
    if bands == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    seeds = cv2.ximgproc.createSuperpixelSEEDS(width, height, bands, count, 4, 2, 5, False)
    seeds.iterate(pixels, 10)
    return np.asarray(seeds.getLabels()).astype(np.int64)
