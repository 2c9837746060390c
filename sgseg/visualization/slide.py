"""A picture for a slide: panels side by side with a legend that is readable at any image size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .pictures import RGB

_BOX, _GAP, _TEXT, _SWATCH = 860, 24, 30, 34
"""Pixels: a panel fits into a square of _BOX; letters and the squares of colour beside them."""
_WIDE = 2.2
"""Images wider than this stand one below the other."""


def slide(
    panels: Sequence[tuple[str, RGB]], legend: Sequence[tuple[str, Sequence[int]]] = ()
) -> RGB:
    """Panels at one size, a title above each, and names with their colours below.

    Args:
        panels: titles and pictures (H, W, 3) of any size; drawn at one size, large or small.
        legend: names and their colours; as many a row as fit, long ones cut.

    Returns:
        (H, W, 3), some 900 to 1,800 pixels wide for up to two panels, whatever the images' size.
    """
    from PIL import Image, ImageDraw

    height, width = panels[0][1].shape[:2]
    stacked = width > _WIDE * height
    box = 2 * _BOX if stacked else _BOX
    scale = box / max(height, width)
    size = max(round(width * scale), 8), max(round(height * scale), 8)
    across = 1 if stacked else len(panels)
    cell = max(size[0], _BOX // 2) + _GAP, size[1] + _TEXT + 2 * _GAP
    full = max(across * cell[0] + _GAP, _BOX)
    font = _font()
    rows = _lines([name for name, _ in legend], font, full - 2 * _GAP)
    top = -(-len(panels) // across) * cell[1]
    canvas = Image.new("RGB", (full, top + _GAP + len(rows) * (_SWATCH + 14)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (title, picture) in enumerate(panels):
        left, up = _GAP + number % across * cell[0], number // across * cell[1]
        draw.text((left, up + _GAP // 3), title, "black", font)
        shrinks = picture.shape[1] > size[0]
        how = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
        canvas.paste(Image.fromarray(picture).resize(size, how), (left, up + _TEXT + _GAP))
    colours = iter(legend)
    for row, names in enumerate(rows):
        left, up = _GAP, top + _GAP // 2 + row * (_SWATCH + 14)
        for name in names:
            _, colour = next(colours)
            square = (left, up, left + _SWATCH, up + _SWATCH)
            draw.rectangle(square, tuple(map(int, colour)), "black")
            draw.text((left + _SWATCH + 12, up - 2), name, "black", font)
            left += _entry(name, font)
    return np.asarray(canvas)


def _entry(name: str, font: Any) -> int:
    """Pixels that a name takes in the legend, with its square."""
    return _SWATCH + 12 + int(font.getlength(name)) + 2 * _GAP


def _lines(names: Sequence[str], font: Any, width: int) -> list[list[str]]:
    """The names in rows of at most ``width`` pixels."""
    rows: list[list[str]] = []
    used = width + 1
    for name in names:
        while len(name) > 2 and _entry(name, font) > width:
            name = name[:-2] + "…"
        if used + _entry(name, font) > width:
            rows.append([])
            used = 0
        rows[-1].append(name)
        used += _entry(name, font)
    return rows


def _font() -> Any:
    """The letters that matplotlib brings: Latin, Greek, Cyrillic and more."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), _TEXT)
