"""Pictures of what the model sees, groups and predicts."""

from .cluster_sheet import ClusterSheet
from .curves import plot_curves, read_curves
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
from .plots import plot_confusion, plot_table
from .slide import slide

__all__ = [
    "ClusterSheet",
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
