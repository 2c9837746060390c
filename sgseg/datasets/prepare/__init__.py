"""From what people have on disk to a cache: one function a data set."""

from .coco_stuff import prepare_coco_stuff
from .potsdam import prepare_potsdam

__all__ = ["prepare_coco_stuff", "prepare_potsdam"]
