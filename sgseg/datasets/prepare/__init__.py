"""Preparation of a cache from the data as they come: one function a data set."""

from .coco_stuff import prepare_coco_stuff
from .potsdam import prepare_potsdam

__all__ = ["prepare_coco_stuff", "prepare_potsdam"]
