r"""Quality measures of hard superpixels, against human segmentations and against the image.

With superpixels S_j, segments G_i of one annotator and N pixels:

.. math:: ASA = \tfrac{1}{N} \sum_j \max_i |S_j \cap G_i|, \qquad
          EV = \sum_p \|\mu_{s(p)} - \mu\|^2 / \sum_p \|I_p - \mu\|^2, \qquad
          CO = \sum_j \tfrac{|S_j|}{N} \, 4 \pi |S_j| / L_j^2

Shapes: label maps (H, W) of integers >= 0, in any numbering and with gaps; images (H, W, C).
Source: definitions of Stutz, Hermans and Leibe, *Superpixels: an evaluation
of the state-of-the-art* (CVIU 2018); the variants of the undersegmentation error are of Neubert
and Protzel (2012) and Levinshtein et al. (TPAMI 2009), compactness is of Schick et al. (ICPR 2012).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter

Labels = npt.NDArray[Any]
Undersegmentation = Literal["neubert_protzel", "simple", "levinshtein"]

SMALLER_IS_BETTER = ("ue", "ue_levinshtein")


def overlap(regions: Labels, truth: Labels) -> npt.NDArray[np.int64]:
    """Pixels in each superpixel and segment: (S, G), empty rows and columns left out.

    Raises:
        ValueError: if either is no (H, W) map of integers >= 0, or their sizes differ.
    """
    rows, columns = _numbered("regions", regions), _numbered("truth", truth)
    if rows.shape != columns.shape:
        raise ValueError(
            f"overlap: regions {rows.shape} and truth {columns.shape} differ in size: resize the "
            "superpixels (by nearest neighbour) to the annotated image"
        )
    width = int(columns.max()) + 1
    pairs = np.bincount((rows * width + columns).ravel(), minlength=(int(rows.max()) + 1) * width)
    return pairs.reshape(-1, width)  # (S, G)


def achievable_accuracy(regions: Labels, truth: Labels) -> float:
    """ASA: accuracy when every superpixel takes the segment it shares most pixels with."""
    inside = overlap(regions, truth)
    return float(inside.max(1).sum() / inside.sum())


def undersegmentation_error(
    regions: Labels, truth: Labels, kind: Undersegmentation = "neubert_protzel"
) -> float:
    r"""How far superpixels leak over the borders of the segments.

    Args:
        regions, truth: (H, W).
        kind: ``neubert_protzel``, the usual one, sums over all overlapping pairs the smaller of
            what lies inside and outside,
            :math:`\tfrac{1}{N} \sum_{i,j} \min(|S_j \cap G_i|, |S_j| - |S_j \cap G_i|)`;
            ``simple`` counts what lies outside a superpixel's main segment, which is 1 - ASA;
            ``levinshtein`` is the mean over segments of the area of all superpixels that touch it
            beyond its own, in units of its own: it has no upper bound, and one pixel of
            overlap costs the whole superpixel.

    Raises:
        ValueError: for another ``kind``, and as :func:`overlap`.
    """
    if kind not in get_args(Undersegmentation):
        raise ValueError(
            f"undersegmentation_error: kind = {kind!r}; choose one of {get_args(Undersegmentation)}"
        )
    return _leaked(overlap(regions, truth), kind)


def boundaries(labels: Labels) -> npt.NDArray[np.bool_]:
    """(H, W): pixels with a 4-neighbour of another label, so both sides of every border."""
    from skimage.segmentation import find_boundaries

    return find_boundaries(labels, connectivity=1, mode="thick")


def boundary_radius(height: int, width: int) -> int:
    """Tolerance in pixels: 0.0025 of the image's diagonal, rounded; 1 for BSDS500."""
    return round(0.0025 * float(np.hypot(height, width)))


def boundary_recall(regions: Labels, truth: Labels, radius: int | None = None) -> float:
    """Share of the segments' boundary pixels with a superpixel boundary pixel close by.

    Args:
        regions, truth: (H, W).
        radius: "close" is a square of 2 * radius + 1 pixels; default :func:`boundary_radius`.

    Returns:
        In [0, 1]; 1 for an image of one segment, which has nothing to recall.
    """
    return _share_near(boundaries(truth), boundaries(regions), radius)


def boundary_precision(regions: Labels, truth: Labels, radius: int | None = None) -> float:
    """Share of the superpixels' boundary pixels with a segment's close by; see the recall.

    Superpixels divide segments on purpose, so it is low for all of them and falls with their
    number: it compares methods at equal number only.
    """
    return _share_near(boundaries(regions), boundaries(truth), radius)


def compactness(regions: Labels) -> float:
    """CO: area of each superpixel over that of a circle of its perimeter, weighted by area.

    The perimeter L counts the sides of pixels that face another superpixel or the image's edge, so
    squares are the roundest there is: the value lies in (0, pi / 4].
    """
    numbers = _numbered("regions", regions)
    framed = np.pad(numbers, 1, constant_values=-1)
    inside = framed[1:-1, 1:-1]
    around = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    facing = sum((inside != other).astype(np.int64) for other in around)  # (H, W)
    sides = np.bincount(numbers.ravel(), np.ravel(facing))  # (S,)
    area = np.bincount(numbers.ravel()).astype(np.float64)
    return float((area / numbers.size * 4 * np.pi * area / sides**2).sum())


def explained_variation(regions: Labels, image: npt.NDArray[Any]) -> float:
    """EV: share of the image's variance that the superpixels' mean colours keep.

    Args:
        regions: (H, W).
        image: (H, W, C).

    Returns:
        In [0, 1]; 1 for an image of one colour, which has nothing to explain.
    """
    numbers = _numbered("regions", regions).ravel()
    bands = np.asarray(image, np.float64).reshape(len(numbers), -1).T  # (C, HW)
    bands = bands - bands.mean(1, keepdims=True)
    total = float((bands**2).sum())
    area = np.bincount(numbers)
    between = sum(float((np.bincount(numbers, band) ** 2 / area).sum()) for band in bands)
    return between / total if total > 0 else 1.0


def quality(
    regions: Labels,
    truths: Iterable[Labels],
    image: npt.NDArray[Any],
    radius: int | None = None,
) -> dict[str, float]:
    """All measures of one image with several annotators.

    Each measure against people is the mean over the annotators; ``best_*`` is that of the
    annotator whom the superpixels suit best, measure by measure. (A mean over images comes after.)

    Args:
        regions: (H, W).
        truths: one (H, W) an annotator.
        image: (H, W, C).
        radius: see :func:`boundary_recall`.

    Returns:
        ``asa``, ``ue`` (Neubert and Protzel), ``ue_levinshtein``, ``br``, ``bp``, each also as
        ``best_*``; ``co`` and ``ev``.
    """
    regions = _numbered("regions", regions)
    per_annotator = [_scores(regions, truth, radius) for truth in truths]
    if not per_annotator:
        raise ValueError("quality: no segmentation to compare with; give at least one annotator's")
    scores = dict(co=compactness(regions), ev=explained_variation(regions, image))
    for name in per_annotator[0]:
        values = [against[name] for against in per_annotator]
        scores[name] = float(np.mean(values))
        scores[f"best_{name}"] = min(values) if name in SMALLER_IS_BETTER else max(values)
    return scores


def _scores(regions: Labels, truth: Labels, radius: int | None) -> dict[str, float]:
    """The measures against one annotator; their overlap is counted once."""
    inside = overlap(regions, truth)
    return dict(
        asa=float(inside.max(1).sum() / inside.sum()),
        ue=_leaked(inside, "neubert_protzel"),
        ue_levinshtein=_leaked(inside, "levinshtein"),
        br=boundary_recall(regions, truth, radius),
        bp=boundary_precision(regions, truth, radius),
    )


def _leaked(inside: npt.NDArray[np.int64], kind: Undersegmentation) -> float:
    """The undersegmentation error of an overlap (S, G)."""
    size = inside.sum(1, keepdims=True)  # (S, 1)
    if kind == "neubert_protzel":
        return float(np.minimum(inside, size - inside).sum() / size.sum())
    if kind == "simple":
        return float((size[:, 0] - inside.max(1)).sum() / size.sum())
    area = inside.sum(0)  # (G,)
    touching = ((inside > 0) * size).sum(0)  # (G,)
    return float(((touching - area) / area).mean())


def _share_near(wanted: Labels, given: Labels, radius: int | None) -> float:
    if wanted.shape != given.shape:
        raise ValueError(
            f"boundaries: superpixels and truth differ in size, {wanted.shape} and {given.shape}"
        )
    radius = boundary_radius(*wanted.shape) if radius is None else radius
    near = maximum_filter(given, 2 * radius + 1, mode="constant")
    return float(near[wanted].mean()) if wanted.any() else 1.0


def _numbered(name: str, labels: Labels) -> npt.NDArray[np.int64]:
    """The same regions, numbered without gaps."""
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
        raise ValueError(
            f"{name}: expected an (H, W) map of integers >= 0, got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    from skimage.segmentation import relabel_sequential

    return relabel_sequential(labels.astype(np.int64) + 1)[0] - 1  # 0 would stay as it is
