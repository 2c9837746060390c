"""Connected superpixels out of any label map.

Pieces are 4-connected. A piece that is too small is given to the neighbour with which it shares
the longest border; of equal borders, to the one that comes first in reading order. Border
rather than colour: it needs no image, so it means the same for every method and band, and it is
what leaves the shortest borders behind. Smallest pieces go first, sizes grow as they are joined.

Shapes: label maps (H, W). NumPy and SciPy only. The smallest size is the one of Suzuki,
*Superpixel Segmentation via Convolutional Neural Networks with Regularized Information
Maximization* (ICASSP 2020).
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

IntArray = npt.NDArray[np.int64]
Borders = list[dict[int, int]]


def connected_pieces(labels: npt.NDArray[Any]) -> IntArray:
    """(H, W): the 4-connected pieces of a label map, numbered from 0 in reading order.

    Raises:
        ValueError: if ``labels`` is not (H, W).
    """
    if labels.ndim != 2 or not labels.size:
        raise ValueError(f"connected_pieces: expected labels (H, W), got {labels.shape}")
    pixel = np.arange(labels.size).reshape(labels.shape)
    right, below = labels[:, :-1] == labels[:, 1:], labels[:-1] == labels[1:]
    one = np.concatenate([pixel[:, :-1][right], pixel[:-1][below]])
    other = np.concatenate([pixel[:, 1:][right], pixel[1:][below]])
    graph = coo_matrix((np.ones(len(one), bool), (one, other)), (labels.size, labels.size))
    pieces = connected_components(graph, directed=False)[1]
    return _in_reading_order(pieces).reshape(labels.shape)


def smallest_size(height: int, width: int, count: int) -> int:
    """RIM's smallest superpixel: 0.06 of the mean size of ``count`` superpixels, in pixels."""
    return max(1, int(0.06 * height * width / count))


def enforce_connectivity(
    labels: npt.NDArray[Any], min_size: int = 1, max_regions: int | None = None
) -> IntArray:
    """Split unconnected regions, then join what is too small or too much.

    Doing it twice changes nothing more.

    Args:
        labels: (H, W).
        min_size: pieces of fewer pixels are joined to a neighbour.
        max_regions: smallest pieces are joined until there are no more than these.

    Returns:
        (H, W), numbered from 0 in reading order without gaps; every region is connected and
        has ``min_size`` pixels, unless it is the only one.

    Raises:
        ValueError: if ``labels`` is not (H, W), or ``max_regions`` < 1.
    """
    if max_regions is not None and max_regions < 1:
        raise ValueError(f"enforce_connectivity: max_regions = {max_regions} must be >= 1")
    pieces = connected_pieces(labels)
    size = np.bincount(pieces.ravel()).tolist()
    most = len(size) if max_regions is None else max_regions
    if min(size) >= min_size and len(size) <= most:
        return pieces
    owner = np.array(_join(size, _border_lengths(pieces, len(size)), min_size, most))
    while (owner[owner] != owner).any():
        owner = owner[owner]
    return _in_reading_order(owner[pieces].ravel()).reshape(labels.shape)


def _join(size: list[int], borders: Borders, min_size: int, most: int) -> list[int]:
    """The piece that each piece was given to (itself if it stayed); consumes its arguments."""
    owner = list(range(len(size)))
    alive = len(size)
    queue = [(pixels, piece) for piece, pixels in enumerate(size)]
    heapq.heapify(queue)
    while alive > 1:
        pixels, piece = heapq.heappop(queue)
        if owner[piece] != piece or size[piece] != pixels:
            continue  # joined or grown since it was queued
        if pixels >= min_size and alive <= most:
            break
        around = borders[piece]
        target = min(around, key=lambda other: (-around[other], other))
        _redirect(borders, piece, target)
        owner[piece] = target
        size[target] += pixels
        alive -= 1
        heapq.heappush(queue, (size[target], target))
    return owner


def _redirect(borders: Borders, piece: int, target: int) -> None:
    """Give the borders of ``piece`` to ``target``."""
    del borders[target][piece]
    for other, length in borders[piece].items():
        if other == target:
            continue
        del borders[other][piece]
        borders[other][target] = borders[other].get(target, 0) + length
        borders[target][other] = borders[target].get(other, 0) + length
    borders[piece] = {}


def _border_lengths(pieces: IntArray, count: int) -> Borders:
    """For each piece: neighbour -> number of pixel sides they share."""
    pairs = []
    for one, other in ((pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])):
        different = one != other
        pairs += [one[different] * count + other[different]]
        pairs += [other[different] * count + one[different]]
    keys, lengths = np.unique(np.concatenate(pairs), return_counts=True)
    borders: Borders = [{} for _ in range(count)]
    for one, other, length in zip(
        (keys // count).tolist(), (keys % count).tolist(), lengths.tolist(), strict=True
    ):
        borders[one][other] = length
    return borders


def _in_reading_order(labels: IntArray) -> IntArray:
    """(P,) labels renumbered from 0 by where each first occurs."""
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number]
