"""Folders as people have them: small drawn scenes of three regions, filed in every odd way.

``draw_X(folder)`` fills ``folder``; the regions are 0 dark, 1 bright, 2 green, known exactly.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

NAMES = ("dark", "bright", "green")
COLOURS = np.array([(40, 40, 50), (200, 190, 180), (40, 160, 40)], np.uint8)
SIDE = 64
GEOREFERENCE = (
    (33550, "d", 3, (0.5, 0.5, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0), True),
)
NODATA, ORIENTATION = 42113, 0x0112


def scene(seed: int, side: int = SIDE, noise: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """An RGB image (side, side, 3) uint8 and its labels (side, side); odd seeds are mirrored."""
    labels = np.zeros((side, side), np.uint8)
    labels[:, side // 2 :] = 1
    labels[side // 2 :, : side // 3] = 2
    grain = np.random.default_rng(seed).normal(0, noise, (side, side, 3))
    image = np.clip(COLOURS[labels] + grain, 0, 255).astype(np.uint8)
    step = -1 if seed % 2 else 1
    return image[:, ::step].copy(), labels[:, ::step].copy()


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write with Pillow, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def draw_folder(
    folder: Path,
    count: int = 8,
    values: Sequence[int] | None = (0, 1, 2),
    classes: bytes = b"dark\nbright\ngreen\n",
) -> None:
    """``images/`` and, unless ``values`` is None, ``labels/`` that hold them, and classes.txt."""
    for seed in range(count):
        image, labels = scene(seed)
        save(folder / "images" / f"im{seed}.png", image)
        if values is not None:
            save(folder / "labels" / f"im{seed}.png", np.asarray(values, np.uint8)[labels])
    if values is not None:
        (folder / "classes.txt").write_bytes(classes)


def draw_labelled_folder(folder: Path) -> None:
    """A folder to train on, to score, and to predict on."""
    draw_folder(folder)


def draw_masks_0_255(folder: Path) -> None:
    """Masks as paint programs write them: 0 and 255, of two named classes."""
    draw_folder(folder, values=(0, 255, 255), classes=b"background\nobject\n")


def draw_all_ignored(folder: Path) -> None:
    """Label maps in which nothing is labelled."""
    draw_folder(folder, values=(255, 255, 255))


def draw_voc_layout(folder: Path, count: int = 4) -> None:
    """Pascal VOC's folders."""
    for seed in range(count):
        image, labels = scene(seed)
        save(folder / "JPEGImages" / f"im{seed}.jpg", image)
        save(folder / "SegmentationClass" / f"im{seed}.png", labels)


def draw_mask_beside(folder: Path, count: int = 4, ending: str = "_mask") -> None:
    """Every image with its label map beside it, told apart by the name's ending."""
    for seed in range(count):
        image, labels = scene(seed)
        save(folder / f"im{seed}.png", image)
        save(folder / f"im{seed}{ending}.png", labels)


def draw_mask_of_same_name(folder: Path, count: int = 4) -> None:
    """Every JPEG with a label map of its own name beside it."""
    for seed in range(count):
        image, labels = scene(seed)
        save(folder / f"im{seed}.jpg", image)
        save(folder / f"im{seed}.png", labels)


def draw_cityscapes_layout(folder: Path, count: int = 3) -> None:
    """Cityscapes' two trees, with three maps an image."""
    for seed in range(count):
        image, labels = scene(seed)
        name = f"aachen_{seed:06d}_000019"
        save(folder / "leftImg8bit/train/aachen" / f"{name}_leftImg8bit.png", image)
        for kind in ("labelIds", "instanceIds", "color"):
            pixels = COLOURS[labels] if kind == "color" else labels
            save(folder / "gtFine/train/aachen" / f"{name}_gtFine_{kind}.png", pixels)


def draw_same_name(folder: Path) -> None:
    """Two images whose names differ in a point alone."""
    save(folder / "img.1.jpg", scene(0)[0])
    save(folder / "img_1.jpg", scene(1)[0])


def draw_few_images(folder: Path) -> None:
    """Fewer images than a batch."""
    draw_folder(folder, count=2, values=None)


def draw_hidden_folders(folder: Path) -> None:
    """Six images among previews, system files, links and a format that is not read."""
    draw_folder(folder, count=6, values=None)
    images = folder / "images"
    preview = scene(9, 16)[0]
    for name in (".thumbnails/t.png", ".ipynb_checkpoints/c.png", "@eaDir/e.png", "._im0.png"):
        save(images / name, preview)
    save(folder / "elsewhere" / "linked.png", scene(7)[0])
    (images / "link").symlink_to((folder / "elsewhere").resolve())
    (images / "loop").symlink_to(folder.resolve())
    (images / "gone.png").symlink_to(folder / "nowhere.png")
    (images / "dir.png").mkdir()
    (images / "x.heic").write_bytes(bytes(64))
    (images / "Thumbs.db").write_bytes(bytes(64))
    (images / "notes.txt").write_text("about these")


def draw_pages(folder: Path) -> None:
    """Label maps of three pages."""
    draw_folder(folder)
    for path in sorted((folder / "labels").glob("*.png")):
        labels = np.asarray(Image.open(path))
        pages = np.stack([labels, 0 * labels, 0 * labels])
        tifffile.imwrite(path.with_suffix(".tif"), pages, photometric="minisblack")
        path.unlink()


def draw_ycc_tiff(folder: Path) -> None:
    """A TIFF of JPEG-compressed luminance and chroma, as aerial photographs are delivered."""
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(scene(0, noise=0)[0]).convert("YCbCr")
    image.save(folder / "ycc.tif", compression="jpeg", quality=95)


def draw_tiled_ycc_tiff(folder: Path) -> None:
    """The same in tiles, as a cloud-optimised GeoTIFF has it."""
    folder.mkdir(parents=True, exist_ok=True)
    image, tiles = scene(0, noise=0)[0], []
    for top in range(0, SIDE, 32):
        for left in range(0, SIDE, 32):
            stream = io.BytesIO()
            tile = Image.fromarray(image[top : top + 32, left : left + 32])
            tile.save(stream, "JPEG", quality=95, subsampling=0)
            tiles.append(stream.getvalue())
    path = folder / "tiled.tif"
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=image.shape,
        dtype=np.uint8,
        photometric="ycbcr",
        subsampling=(1, 1),
        compression=8,
        tile=(32, 32),
    )
    with tifffile.TiffFile(path, mode="r+b") as file:  # it writes JPEG with imagecodecs only
        file.pages.first.tags["Compression"].overwrite(7)


def draw_exif_png(folder: Path) -> None:
    """One photograph stored turned, in four formats and two orientations."""
    image = scene(0)[0][:40]
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        for suffix in ("jpg", "png", "webp", "tif"):
            options = dict(quality=100) if suffix == "jpg" else {}
            options |= dict(lossless=True) if suffix == "webp" else {}
            save(folder / f"exif{orientation}.{suffix}", image, exif=exif, **options)


def draw_bom_classes(folder: Path) -> None:
    """classes.txt out of a Windows editor: a byte-order mark, CRLF, blank lines, spaces."""
    draw_folder(folder, classes=b"\xef\xbb\xbfdark \r\nbright\r\n\r\n green\r\n")


def draw_raster_0_10200(folder: Path, count: int = 1) -> None:
    """Reflectances in 16 bit that end at 10200."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        pixels = scene(seed)[0].astype(np.uint16) * 40
        tifffile.imwrite(folder / f"raster{seed or ''}.tif", pixels, photometric="rgb")


def draw_nodata(folder: Path, count: int = 1, value: float = 0, dtype: str = "uint8") -> None:
    """Georeferenced rasters whose upper 20 rows are no data, declared by GDAL's tag."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        image = scene(seed)[0].astype(dtype)
        image = image / 255 if dtype.startswith("float") else image
        image = image.astype(dtype)
        image[:20] = value
        tags = [(NODATA, "s", 0, f"{value:g}", True), *GEOREFERENCE]
        path = folder / f"nodata{seed or ''}.tif"
        tifffile.imwrite(path, image, photometric="rgb", extratags=tags)


def draw_nodata_by_mask(folder: Path) -> None:
    """A raster whose upper 20 rows an internal mask leaves out, with an overview."""
    folder.mkdir(parents=True, exist_ok=True)
    image = scene(0)[0]
    mask = np.ones((SIDE, SIDE), bool)
    mask[:20] = False
    with tifffile.TiffWriter(folder / "mask.tif") as file:
        file.write(image, photometric="rgb", metadata=None)
        file.write(image[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        file.write(mask, photometric="mask", subfiletype=4, metadata=None)


def draw_nodata_by_opacity(folder: Path) -> None:
    """A TIFF and a PNG whose upper 20 rows are transparent."""
    image = np.dstack([scene(0)[0], np.full((SIDE, SIDE), 255, np.uint8)])
    image[:20] = 0
    save(folder / "alpha.png", image)
    tifffile.imwrite(
        folder / "alpha.tif", image, photometric="rgb", extrasamples=["unassalpha"], metadata=None
    )


def draw_long_image(folder: Path, height: int = 4000) -> None:
    """A strip that is far higher than wide."""
    tall = np.tile(scene(0, 32)[0], (-(-height // 32), 1, 1))[:height]
    save(folder / "long.png", tall)


def draw_uint16_array() -> np.ndarray:
    """The 8-bit scene in 16 bits: every value times 257."""
    return scene(0)[0].astype(np.uint16) * 257


def draw_opencv_folder(folder: Path, names: Sequence[str]) -> None:
    """Images under given names, one seed each."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), scene(seed)[0][..., ::-1])
