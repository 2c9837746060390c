r"""Images that are too large to segment at once: overlapping windows whose probabilities blend.

.. math:: \hat M_p = \sum_w t_w(p)\, \hat M^w_p \Big/ \sum_w t_w(p)

The taper t is zero on the outer quarter of an overlap, where a window's zero padding reaches,
rises over the middle half as sin^2, and is one inside. Only one row of windows is ever in memory.

Shapes: image (H, W, C); probability bands (K, rows, W).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..io.rows import ArrayRows, Rows
from ..io.units import unit_floats
from .network import Network, Statistics, probabilities

CHUNK = 64
"""Rows that are brought to the image's own size at a time."""


class Window(NamedTuple):
    """A window along one axis."""

    start: int
    stop: int
    weight: Tensor
    """Its share of each of its pixels; the shares of all windows add up to one."""


def windows(length: int, tile: int, overlap: int) -> list[Window]:
    """Windows that cover an axis of ``length`` pixels.

    They start at even pixels, where the head, which halves the size once, starts on the whole
    image too.

    Args:
        length: of the axis.
        tile: size of a window, even.
        overlap: of neighbours, even, at most ``tile / 2``; the last two may overlap by more.

    Raises:
        ValueError: for an odd or too large tile or overlap.
    """
    if tile < 2 or tile % 2 or overlap % 2 or not 0 <= overlap <= tile // 2:
        raise ValueError(
            f"tile = {tile}, overlap = {overlap}: both must be even, tile at least 2 and overlap "
            "in 0..tile/2"
        )
    if length <= tile:
        return [Window(0, length, torch.ones(length))]
    last = length - tile + (length - tile) % 2
    starts = [*range(0, last, tile - overlap), last]
    tapers = [_taper(start, tile, overlap, length) for start in starts]
    total = torch.zeros(length)  # of all windows; each is kept on its own pixels only
    for start, taper in zip(starts, tapers, strict=True):
        total[start : start + tile] += taper
    return [
        Window(start, start + len(taper), taper / total[start : start + tile])
        for start, taper in zip(starts, tapers, strict=True)
    ]


def _taper(start: int, tile: int, overlap: int, length: int) -> Tensor:
    stop = min(start + tile, length)
    margin = overlap // 4
    pixel = torch.arange(start, stop) + 0.5
    border = torch.full_like(pixel, math.inf)  # distance to the nearest border inside the image
    if start > 0:
        border = torch.minimum(border, pixel - start)
    if stop < length:
        border = torch.minimum(border, stop - pixel)
    rise = ((border - margin) / max(overlap - 2 * margin, 1)).clamp(0, 1)
    return (rise * math.pi / 2).sin().square()


def image_statistics(source: Rows, rows: int) -> Statistics:
    """Mean and deviation of every band over the valid pixels, ``rows`` rows at a time."""
    total, square = torch.zeros(2, source.shape[2], dtype=torch.float64)
    pixels = 0
    for start in range(0, source.shape[0], rows):
        stop = min(start + rows, source.shape[0])
        part = to_unit(source.rows(start, stop)).double().flatten(1)  # (C, pixels)
        valid = source.valid(start, stop)
        if valid is not None:
            part = part[:, torch.from_numpy(valid.ravel())]
        total += part.sum(1)
        square += part.square().sum(1)
        pixels += part.shape[1]
    mean = total / max(pixels, 1)  # (C,)
    deviation = (square / max(pixels, 1) - mean.square()).clamp_min(0).sqrt()  # (C,)
    return mean.float().view(1, -1, 1, 1), deviation.float().view(1, -1, 1, 1)


def to_unit(image: npt.NDArray[np.generic]) -> Tensor:
    """(H, W, C) uint8, or float in [0, 1], as float32 in [0, 1], (C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(unit_floats(image).transpose(2, 0, 1)))


def resized(inputs: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) at another size, averaged where it shrinks."""
    if size == tuple(inputs.shape[2:]):
        return inputs
    return F.interpolate(inputs, size, mode="bilinear", antialias=True)  # (1, C, h, w)


def shrunk(source: Rows, size: tuple[int, int]) -> ArrayRows:
    """A whole image at another size, one band after the other: (h, w, C) float32."""
    image = source.rows(0, source.shape[0])
    bands = (to_unit(image[:, :, c : c + 1])[None] for c in range(image.shape[2]))
    small = torch.cat([resized(band, size)[0] for band in bands]).clamp_(0, 1)  # (C, h, w)
    return ArrayRows(small.permute(1, 2, 0).numpy())


def blend(
    network: Network,
    source: Rows,
    tile: int,
    overlap: int,
    statistics: Statistics | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Tensor]:
    """Probabilities of a large image, from top to bottom.

    Args:
        network: asked for one window at a time.
        source: the image, read by rows.
        tile, overlap: see :func:`windows`.
        statistics: of the image, where the network standardises; default those of ``source``.
        start, stop: rows wanted; default all.

    Yields:
        (K, rows, W) float32 on the CPU; together all rows wanted, as they are in the whole image.
    """
    height, width, _ = source.shape
    stop = height if stop is None else stop
    down, across = windows(height, tile, overlap), windows(width, tile, overlap)
    if network.standardises and statistics is None:
        statistics = image_statistics(source, tile)
    begun: Tensor | None = None  # rows that the windows above reach into
    for number, y in enumerate(down):
        if y.stop <= start or y.start >= stop:
            continue
        rows = source.rows(y.start, y.stop)
        band: Tensor | None = None
        for x in across:
            image = to_unit(rows[:, x.start : x.stop])[None]  # (1, C, h, w)
            probability = probabilities(network, image, statistics)[0].cpu()  # (K, h, w)
            if band is None:
                band = _continued(begun, len(probability), y.stop - y.start, width)
            band[:, :, x.start : x.stop] += probability * (y.weight[:, None] * x.weight)
        assert band is not None  # an image has a column
        done = (down[number + 1].start if number + 1 < len(down) else height) - y.start
        wanted = slice(max(start - y.start, 0), min(done, stop - y.start))
        if wanted.start < wanted.stop:
            yield band[:, wanted]
        begun = band[:, done:].clone()


def _continued(begun: Tensor | None, classes: int, height: int, width: int) -> Tensor:
    """(K, height, W) zeros, the rows that have ``begun`` first."""
    band = torch.zeros(classes, height, width)
    if begun is not None:
        band[:, : begun.shape[1]] = begun
    return band


def enlarged(bands: Iterator[Tensor], height: int, size: tuple[int, int]) -> Iterator[Tensor]:
    """``F.interpolate(whole map, size, mode="bilinear")``, of a map that comes in bands.

    Args:
        bands: (K, rows, w), ``height`` rows in all.
        height: of the map.
        size: (H, W) wanted.

    Yields:
        (K, at most CHUNK, W).
    """
    low, high, weight = _taps(height, size[0])
    kept, first, given = None, 0, 0
    for band in bands:
        left, right, share = _taps(band.shape[2], size[1])
        kept = band if kept is None else torch.cat([kept, band], 1)  # (K, rows, w)
        ready = int((high < first + kept.shape[1]).sum())
        for start in range(given, ready, CHUNK):
            part = slice(start, min(start + CHUNK, ready))
            above, below = kept[:, low[part] - first], kept[:, high[part] - first]
            rows = torch.lerp(above, below, weight[part, None])  # (K, rows, w)
            yield torch.lerp(rows[..., left], rows[..., right], share)  # (K, rows, W)
        given = ready
        if given < size[0]:
            done = int(low[given]) - first
            kept, first = kept[:, done:].clone(), first + done


def _taps(length: int, wanted: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two source pixels of each wanted one, and the share of the second."""
    position = ((torch.arange(wanted).double() + 0.5) * length / wanted - 0.5).clamp_min(0)
    low = position.floor().long()
    return low, (low + 1).clamp_max(length - 1), (position - low).float()
