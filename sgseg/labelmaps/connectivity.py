"""Connected superpixels out of any label map.

Pieces are 4-connected. A piece that is too small is given to the neighbour with which it shares
the longest border; of equal borders, to the one that comes first in reading order. Border
rather than colour: it needs no image, so it means the same for every method and band, and it is
what leaves the shortest borders. Smallest pieces go first, sizes grow as they are joined.

Shapes: label maps (H, W). Pieces are scikit-image's. The smallest size is the one of Suzuki,
*Superpixel Segmentation via Convolutional Neural Networks with Regularized Information
Maximization* (ICASSP 2020).
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Borders = list[dict[int, int]]


def connected_pieces(labels: npt.NDArray[Any]) -> IntArray:
    """(H, W): the 4-connected pieces of a label map, numbered from 0 in reading order.

    Raises:
        ValueError: if ``labels`` is not (H, W).
    """
    if labels.ndim != 2 or not labels.size:
        raise ValueError(f"connected_pieces: expected labels (H, W), got {labels.shape}")
    from skimage.measure import label

    values = labels.astype(np.int64)
    return label(values, background=values.min() - 1, connectivity=1) - 1


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
    return connected_pieces(owner[pieces])


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
        owner[piece] = target
        del borders[target][piece]
        for other, length in around.items():
            if other != target:
                del borders[other][piece]
                borders[other][target] = borders[other].get(target, 0) + length
                borders[target][other] = borders[target].get(other, 0) + length
        size[target] += pixels
        alive -= 1
        heapq.heappush(queue, (size[target], target))
    return owner


def _border_lengths(pieces: IntArray, count: int) -> Borders:
    """Shared pixel sides of each piece: neighbour -> number of sides."""
    pairs = []
    for here, there in ((pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])):
        different = here != there
        pairs += [here[different] * count + there[different]]
        pairs += [there[different] * count + here[different]]
    keys, lengths = np.unique(np.concatenate(pairs), return_counts=True)
    borders: Borders = [{} for _ in range(count)]
    for key, length in zip(keys.tolist(), lengths.tolist(), strict=True):
        borders[key // count][key % count] = length
    return borders
