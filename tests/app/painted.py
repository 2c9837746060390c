"""Painted images whose clusters are known, and a model that divides them by colour."""

from pathlib import Path

import cv2
import numpy as np
import torch

from sgseg.inference import Segmenter
from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.conftest import ROOT

COLOURS = np.array([[220, 30, 30], [30, 120, 30], [60, 220, 60], [30, 30, 220]])
"""Red, two greens, blue."""
CLUSTERS = np.array([0, 1, 1, 2])
"""Cluster of each colour."""
SIZE = (48, 64)


def painting(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) colour of each pixel: four blocks, in another order in each image."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    block = 2 * (2 * rows // height) + 2 * columns // width
    return (block + number) % 4


def paint(folder: Path, count: int) -> Path:
    """A folder of paintings, with a little noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(-8, 9, (*SIZE, 3))
        image = (COLOURS[painting(number)] + noise).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), image[:, :, ::-1])
    return folder


def by_colour(folder: Path) -> Path:
    """A checkpoint of K-Means on colours: red, green and blue are clusters 0, 1 and 2."""
    config = build_config(ROOT / "configs/kmeans/kmeans_folder.py", data=folder, num_classes=3)
    model = MODELS.build(config.model)
    green = COLOURS[1:3].mean(0)
    centres = np.array([COLOURS[0], green, COLOURS[3]]) / 255
    model.decode_head.set_centres(torch.tensor(centres, dtype=torch.float32))
    path = folder / "run" / "epoch_1.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def segmenter_of(checkpoint: Path, folder: Path, **options: object) -> Segmenter:
    """The model of :func:`by_colour` at the images' own size."""
    config = build_config(ROOT / "configs/kmeans/kmeans_folder.py", data=folder, num_classes=3)
    return Segmenter(checkpoint, config, side=0, **options)  # type: ignore[arg-type]
