"""Data sets, their transforms and samplers."""

from ..io.badfile import BadFileError
from .base import SegDataset
from .cache import Cache
from .coco_stuff import COCOStuff3, COCOStuff3Other, COCOStuff15
from .folder import ImageFolder, LabelledFolder
from .jitter import ColorJitter
from .potsdam import Potsdam, Potsdam3
from .randomness import Draw
from .sampler import DrawSampler
from .texture_mosaic import TextureMosaic
from .transforms import (
    CropTo,
    PackInputs,
    Rescale,
    ResizeShortest,
    ResizeWhole,
    SLICRegions,
    Sobel,
)

__all__ = [
    "BadFileError",
    "COCOStuff3",
    "COCOStuff3Other",
    "COCOStuff15",
    "Cache",
    "ColorJitter",
    "CropTo",
    "Draw",
    "DrawSampler",
    "ImageFolder",
    "LabelledFolder",
    "PackInputs",
    "Potsdam",
    "Potsdam3",
    "Rescale",
    "ResizeShortest",
    "ResizeWhole",
    "SLICRegions",
    "SegDataset",
    "Sobel",
    "TextureMosaic",
]
