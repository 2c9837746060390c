"""Data trees that tests share: made on the fly, or of the real samples where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from sgseg.datasets.potsdam import COLOURS

SHARED = Path(__file__).parents[2].parent / "shared"
COCO_SAMPLE = SHARED / "data" / "coco_stuff_sample"
NAIP = SHARED / "data" / "aerial_naip_rgbir"


def real(folder: Path) -> Path:
    """A folder of the real samples, or a skip that says what is missing."""
    if not folder.is_dir():
        pytest.skip(f"real sample not here: {folder}")
    return folder


def texture(rng: np.random.Generator, height: int, width: int, bands: int = 3) -> np.ndarray:
    """A smooth random picture that JPEG keeps: (height, width, bands) uint8."""
    coarse = rng.integers(0, 256, (6, 8, bands)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(
        height, width, bands
    )


def coco_tree(root: Path, train: int = 10, val: int = 4, seed: int = 0) -> Path:
    """COCO-Stuff in the official layout: landscape and portrait, every fine id can occur."""
    rng = np.random.default_rng(seed)
    for split, count in (("train2017", train), ("val2017", val)):
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations" / split).mkdir(parents=True)
        for number in range(count):
            height, width = ((420, 500), (500, 420))[number % 2]
            name = f"{number + 1000 * (split == 'val2017'):012d}"
            image = texture(rng, height, width)
            cv2.imwrite(str(root / "images" / split / f"{name}.jpg"), image)
            fine = rng.choice([*range(182), 255], (6, 8)).astype(np.uint8)
            fine = cv2.resize(fine, (width, height), interpolation=cv2.INTER_NEAREST)
            Image.fromarray(fine).save(root / "annotations" / split / f"{name}.png")
    return root


def real_coco_tree(root: Path) -> Path:
    """The 21 real COCO-Stuff images in a tree of their own."""
    for folder in ("images", "annotations"):
        # Plain copies: the samples are read-only, and some tests plant faults.
        shutil.copytree(real(COCO_SAMPLE) / folder, root / folder, copy_function=shutil.copyfile)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)
    return root


TILES = {"2_10": True, "7_12": True, "2_13": False}
"""Tiles of the small Potsdam trees, and whether the protocol has labels for them."""


def write_tile(root: Path, name: str, pixels: np.ndarray, classes: np.ndarray | None) -> None:
    """A tile as ISPRS names and writes it: RGBIR, and the label as colours."""
    for folder in ("4_Ortho_RGBIR", "5_Labels_for_participants"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    path = root / "4_Ortho_RGBIR" / f"top_potsdam_{name}_RGBIR.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="contig")
    if classes is not None:
        colours = np.array(COLOURS, np.uint8)[classes]
        path = root / "5_Labels_for_participants" / f"top_potsdam_{name}_label.tif"
        tifffile.imwrite(path, colours, photometric="rgb")


def potsdam_tiles(root: Path, side: int = 800, seed: int = 0) -> Path:
    """Three tiles of noise-free random pixels, two of them labelled."""
    rng = np.random.default_rng(seed)
    for name, labelled in TILES.items():
        classes = rng.integers(0, 6, (9, 7)).astype(np.uint8)
        classes = cv2.resize(classes, (side, side), interpolation=cv2.INTER_NEAREST)
        write_tile(root, name, texture(rng, side, side, 4), classes if labelled else None)
    return root


def real_potsdam_tiles(root: Path, side: int = 800) -> Path:
    """Tiles of real R, G, B, IR pixels with their real land cover as the six classes."""
    paths = sorted((real(NAIP) / "images").glob("m_*.npy"))
    for number, (name, labelled) in enumerate(TILES.items()):
        chosen = [paths[(16 * number + step) % len(paths)] for step in range(16)]
        pixels = [np.load(path)[:256, :256] for path in chosen]
        labels = [
            np.array(Image.open(NAIP / "labels" / f"{path.stem}.png"))[:256, :256]
            for path in chosen
        ]
        classes = np.where(_grid(labels) == 255, 5, _grid(labels))[:side, :side]
        write_tile(root, name, _grid(pixels)[:side, :side], classes if labelled else None)
    return root


def _grid(parts: list[np.ndarray]) -> np.ndarray:
    """Sixteen pieces as 4 x 4."""
    return np.concatenate([np.concatenate(parts[row : row + 4], 1) for row in (0, 4, 8, 12)])


def iic_archive(root: Path, seed: int = 0) -> Path:
    """IIC's Potsdam archive in small: .mat patches named by number, and the three lists."""
    rng = np.random.default_rng(seed)
    (root / "imgs").mkdir(parents=True)
    (root / "gt").mkdir()
    lists = {"unlabelled_train": (0, 3), "labelled_train": (4, 1, 6), "labelled_test": (2, 5)}
    for split, ids in lists.items():
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in ids))
        for name in ids:
            savemat(root / "imgs" / f"{name}.mat", {"img": texture(rng, 200, 200, 4)})
            if split != "unlabelled_train":
                classes = rng.integers(0, 6, (200, 200)).astype(np.int32)
                savemat(root / "gt" / f"{name}.mat", {"gt": classes})
    return root
