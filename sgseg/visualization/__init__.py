"""Pictures of what the model sees, groups and predicts."""

from .pictures import (
    captioned,
    class_colours,
    draw_borders,
    features_as_rgb,
    overlay,
    palette,
    picture_strip,
    to_display,
)
from .plots import plot_confusion, plot_curves, plot_table, read_curves
from .slide import slide

__all__ = [
    "captioned",
    "class_colours",
    "draw_borders",
    "features_as_rgb",
    "overlay",
    "palette",
    "picture_strip",
    "plot_confusion",
    "plot_curves",
    "plot_table",
    "read_curves",
    "slide",
    "to_display",
]
