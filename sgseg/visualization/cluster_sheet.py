"""A contact sheet: each cluster with the crops of images that belong to it most surely."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from .pictures import RGB, palette
from .surest import faded_crop, surest_windows


class ClusterSheet:
    """Collects, image by image, the windows that a model assigns to each cluster most surely.

    Args:
        clusters: K.
        crops: of each cluster, at most one an image.
        part: side of a window, as a part of the image's shorter side.
    """

    def __init__(self, clusters: int, crops: int = 8, part: float = 0.4) -> None:
        self.crops = crops
        self.part = part
        self.pixels = np.zeros(clusters, np.int64)
        self._surest: list[list[tuple[float, int, RGB]]] = [[] for _ in range(clusters)]
        self._order = count()  # ties go to the earlier image

    def add(
        self, image: RGB, probability: npt.NDArray[Any], valid: npt.NDArray[Any] | None = None
    ) -> None:
        """Look at an image.

        Args:
            image: (H, W, 3).
            probability: (K, H, W) of its pixels.
            valid: (H, W) bool, false where there is no data, which is of no cluster.
        """
        labels = probability.argmax(0)  # (H, W)
        if valid is not None:
            labels = np.where(valid, labels, -1)
        self.pixels += np.bincount(labels[labels >= 0], minlength=len(self.pixels))
        height, width = labels.shape
        side = max(2, round(self.part * min(height, width)))
        for cluster in np.unique(labels[labels >= 0]):
            sure = np.where(labels == cluster, probability[cluster].astype(np.float32), 0)
            found = self._surest[cluster]
            for surety, top, left in surest_windows(sure, side, 1):
                crop = faded_crop(image, labels == cluster, top, left, side)
                entry = (surety, -next(self._order), crop)
                (heapq.heappush if len(found) < self.crops else heapq.heappushpop)(found, entry)

    def picture(self, side: int = 96, gap: int = 4) -> RGB:
        """The sheet: a row a cluster, its colour, number and share of the pixels, surest first."""
        import cv2

        label, colours = 132, palette(len(self.pixels))
        shape = (len(self.pixels) * (side + gap), label + self.crops * (side + gap), 3)
        canvas = np.full(shape, 255, np.uint8)
        shares = self.pixels / max(int(self.pixels.sum()), 1)
        for cluster, found in enumerate(self._surest):
            top = cluster * (side + gap)
            canvas[top + 8 : top + 28, 4:24] = colours[cluster]
            said = (
                f"cluster {cluster}",
                f"{shares[cluster]:.1%} of pixels" if found else "no pixel",
            )
            for number, text in enumerate(said):
                base = (30, top + 22) if number == 0 else (4, top + 48)
                style = (cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
                cv2.putText(canvas, text, base, *style)
            for place, (_, _, crop) in enumerate(sorted(found, reverse=True, key=lambda e: e[:2])):
                left = label + place * (side + gap)
                how = cv2.INTER_AREA if len(crop) > side else cv2.INTER_LINEAR
                sized = cv2.resize(crop, (side, side), interpolation=how)
                canvas[top : top + side, left : left + side] = sized
        return canvas
