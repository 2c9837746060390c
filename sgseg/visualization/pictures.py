"""Label overlays, superpixel borders and node features as RGB; arrays in, uint8 RGB out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops.matching import IGNORE

RGB = npt.NDArray[np.uint8]

_COLOURS = bytes.fromhex(
    "e6194b3cb44b4363d8ffe119f58231911eb446f0f0f032e6bcf60cfabebe"
    "008080e6beff9a6324fffac8800000aaffc3808000ffd8b1000075808080"
)
"""Red, green and blue of twenty colours that are easy to tell apart, one after the other."""

_EXPECTED = {
    1: "plant plants grass vegetation tree trees forest",
    2: "water sea river lake",
    6: "sky",
    0: "building buildings roof",
    12: "soil ground land bare earth",
    19: "road roads street impervious",
    3: "sand field",
}
"""Number of a colour -> names that people expect it for."""


def palette(count: int) -> RGB:
    """(256, 3) colours: ``count`` distinct ones first, black from there on (255 = ignored)."""
    table = np.zeros((256, 3), np.uint8)
    colours = np.frombuffer(_COLOURS, np.uint8).reshape(-1, 3)
    number = np.arange(min(count, IGNORE))
    shade = 0.6 ** (number // len(colours))  # a second round is darker
    table[number] = colours[number % len(colours)] * shade[:, None]
    return table


def class_colours(classes: Sequence[str], own: Mapping[str, str] | None = None) -> RGB:
    """(256, 3): a colour for each class, which goes with its name and not with its number.

    ``cluster_3`` has the fourth colour of :func:`palette`, ``water`` is blue, and any other name
    has one of the twenty by its letters. Where two names meet, the later one in the alphabet has
    the next free one; else neither the order of classes nor two that join change a colour.

    Args:
        classes: the names, by value.
        own: name -> colour of one's own, ``{"water": "#4363d8"}`` or any name of a CSS colour.

    Raises:
        ValueError: for a class that is not there, or a colour that is none.
    """
    from PIL import ImageColor

    chosen = dict(own or {})
    if missing := sorted(set(chosen) - set(classes)):
        raise ValueError(f"palette: no class {missing[0]!r}; there are {', '.join(classes)}")
    all_colours, base = palette(IGNORE), len(_COLOURS) // 3
    taken: dict[str, int] = {}
    for name in classes:
        if found := re.fullmatch(r"cluster_(\d+)", name):
            taken[name] = int(found[1]) % IGNORE
    expected = {word: number for number, words in _EXPECTED.items() for word in words.split()}
    rest = set(classes) - taken.keys()
    for name in sorted(rest, key=lambda name: (name.lower() not in expected, name)):
        letters = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        first = expected.get(name.lower(), letters)
        rounds = range(0, IGNORE, base)
        order = [start + (first + step) % base for start in rounds for step in range(base)]
        taken[name] = next(number for number in order if number not in taken.values())
    table = np.zeros((256, 3), np.uint8)
    for value, name in enumerate(classes):
        table[value] = all_colours[taken[name] % IGNORE]
        if name in chosen:
            try:
                table[value] = ImageColor.getrgb(chosen[name])[:3]
            except ValueError as error:
                raise ValueError(
                    f"palette: {chosen[name]!r} of {name!r} is no colour; write #rrggbb or a "
                    "name of CSS"
                ) from error
    return table


def to_display(image: npt.NDArray[Any]) -> RGB:
    """The first three bands of (H, W, C) as RGB, stretched between the 1st and 99th percentile.

    One and two bands become grey. Floats of any range are taken.
    """
    image = np.atleast_3d(np.asarray(image, np.float32))
    image = image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, 2)
    low, high = np.percentile(image, (1, 99))
    return (np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def overlay(image: RGB, labels: npt.NDArray[Any], colours: RGB, opacity: float = 0.5) -> RGB:
    """Label colours over an image; ignored pixels stay as they are."""
    painted = colours[np.asarray(labels) & 0xFF]
    mixed = (1 - opacity) * image + opacity * painted
    return np.where((labels == IGNORE)[..., None], image, mixed).astype(np.uint8)


def draw_borders(
    image: RGB, regions: npt.NDArray[Any], colour: Sequence[int] = (255, 255, 0), scale: int = 4
) -> RGB:
    """Outline regions on an enlarged image with lines two pixels wide, one on either side.

    Args:
        image: (H, W, 3).
        regions: (H, W) region of each pixel.
        colour: of the lines.
        scale: enlargement, so that lines do not hide small regions.

    Returns:
        (scale * H, scale * W, 3).
    """
    from skimage.segmentation import find_boundaries

    image = image.repeat(scale, 0).repeat(scale, 1)
    regions = regions.repeat(scale, 0).repeat(scale, 1)
    image[find_boundaries(regions, connectivity=1)] = colour
    return image


def features_as_rgb(features: npt.NDArray[Any]) -> RGB:
    """The three main directions of a feature map (C, H, W) as colours (Figure 3)."""
    channels, height, width = features.shape
    flat = features.reshape(channels, -1).T.astype(np.float64)  # (HW, C)
    flat = flat - flat.mean(0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    main = flat @ directions[:, ::-1][:, :3]  # (HW, <=3)
    low, high = np.percentile(main, (1, 99), axis=0)
    scaled = np.clip((main - low) / np.maximum(high - low, 1e-9), 0, 1)
    rgb = np.zeros((height * width, 3))
    rgb[:, : scaled.shape[1]] = scaled
    return (rgb * 255).astype(np.uint8).reshape(height, width, 3)


def picture_strip(
    rows: Sequence[Sequence[RGB]], titles: Sequence[str] = (), side: int = 160, gap: int = 4
) -> RGB:
    """Pictures in a grid, one row an image, with a title above each column."""
    import cv2

    columns = max(len(row) for row in rows)
    head = 22 if titles else 0
    heights = [round(side * row[0].shape[0] / row[0].shape[1]) for row in rows]
    canvas = np.full(
        (head + sum(heights) + gap * len(rows), columns * (side + gap) - gap, 3), 255, np.uint8
    )
    for column, title in enumerate(titles):
        base = (column * (side + gap) + 2, head - 7)
        cv2.putText(canvas, title, base, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    top = head
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            how = cv2.INTER_AREA if picture.shape[1] > side else cv2.INTER_NEAREST
            sized = cv2.resize(picture, (side, height), interpolation=how)
            left = column * (side + gap)
            canvas[top : top + height, left : left + side] = sized
        top += height + gap
    return canvas


def captioned(picture: RGB, legend: Sequence[tuple[str, RGB]], lines: Sequence[str]) -> RGB:
    """A picture with named colours and lines of text below it.

    Args:
        picture: (H, W, 3).
        legend: names and their colours, as many a row as fit.
        lines: of text.

    Returns:
        (H + room for the text, W or what the text needs, 3).
    """
    import cv2

    size, height, cell = 0.4, 18, 160
    width = max([picture.shape[1], *(7 * len(line) + 8 for line in lines)])
    columns = max(1, width // cell)
    rows = -(-len(legend) // columns)
    canvas = np.full((picture.shape[0] + height * (rows + len(lines)) + 6, width, 3), 255, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture

    def write(text: str, left: int, row: int) -> int:
        base = picture.shape[0] + height * row + 14
        corner = (left, base)
        cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)
        return base

    for number, (name, colour) in enumerate(legend):
        left = cell * (number % columns) + 4
        base = write(name, left + 16, number // columns)
        canvas[base - 10 : base, left : left + 12] = colour
    for number, line in enumerate(lines):
        write(line, 4, rows + number)
    return canvas
