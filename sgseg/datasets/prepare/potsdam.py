"""Potsdam into a cache: from ISPRS's tiles, or from the archive that circulates with IIC."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log
from scipy.io import loadmat

from ...io.badfile import BadFileError
from ...io.images import read_image, read_list
from ...io.tiff import open_tiff
from ..cache import Cache, Sample
from ..labels import demand_same_size
from ..potsdam import CLASSES, COLOURS, COUNTS, LABELLED_TILES, SPLITS, UNLABELLED_TILES
from ..transforms import Rescale
from .build import Plan, Progress, build

PATCH = 200
HALF = 0.5
TEST_SHARE = 0.1
TEST_SEED = 855
"""Published seed of the labelled_test patches; see :func:`drawn_patches`."""
OFF_PALETTE_WARNING = 1e-3
_PER_SHARD = 225
_TILE = re.compile(r"top_potsdam_0*(\d+)_0*(\d+)_RGBIR\.tif", re.IGNORECASE)
_LABEL = re.compile(r"top_potsdam_0*(\d+)_0*(\d+)_label(_noBoundary)?\.tif", re.IGNORECASE)

Array = npt.NDArray[Any]


class Tile(NamedTuple):
    """One tile, one shard."""

    name: str
    """For example ``2_10``."""
    image: Path
    label: Path | None
    rows: int
    """Patches from top to bottom."""
    columns: int
    halved: bool = True

    def names(self) -> list[str]:
        """``top_potsdam_{tile}_{row:02d}_{column:02d}``."""
        places = [(row, column) for row in range(self.rows) for column in range(self.columns)]
        return [f"top_potsdam_{self.name}_{row:02d}_{column:02d}" for row, column in places]

    def samples(self) -> Iterator[Sample]:
        """Patches, row by row."""
        image, classes, off = self._scaled()
        for top in range(0, self.rows * PATCH, PATCH):
            for left in range(0, self.columns * PATCH, PATCH):
                window = np.s_[top : top + PATCH, left : left + PATCH]
                if classes is None or off is None:
                    yield Sample(image[window], None)
                else:
                    yield Sample(image[window], classes[window], int(off[window].sum()))

    def _scaled(self) -> tuple[Array, Array | None, Array | None]:
        results = dict(img=read_image(self.image, 4))
        if self.label is not None:
            colours = read_image(self.label, 3)
            demand_same_size(self.label, colours.shape, self.image, results["img"].shape)
            results["gt_seg_map"] = colours
        if self.halved:
            results = Rescale(HALF, "bilinear")(results)
        if self.label is None:
            return results["img"], None, None
        return results["img"], *palette_classes(results["gt_seg_map"])


class MatPatches(NamedTuple):
    """Patches of IIC's archive, one shard."""

    root: Path
    ids: Sequence[str]

    def names(self) -> list[str]:
        """IIC's ids."""
        return list(self.ids)

    def samples(self) -> Iterator[Sample]:
        """Patches as they are."""
        for name in self.ids:
            image = read_mat(self.root / "imgs" / f"{name}.mat", "img", np.uint8, (4,))
            path = self.root / "gt" / f"{name}.mat"
            if not path.is_file():
                yield Sample(image, None)
                continue
            label = read_mat(path, "gt", np.int32, ())
            if label.min() < 0 or label.max() >= len(CLASSES):
                raise BadFileError(path, "holds values beyond 0..5", "label_range")
            yield Sample(image, label.astype(np.uint8))


def palette_classes(colours: Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Classes of a label picture; a colour off the palette takes the nearest one's.

    Shapes: (H, W, 3) uint8 -> (H, W) uint8 in 0..5, and (H, W) whether it was off the palette.
    """
    packed = colours.astype(np.int32) @ np.array((65536, 256, 1), np.int32)  # (H, W)
    values, number = np.unique(packed, return_inverse=True)
    values = np.stack([values >> 16, values >> 8 & 255, values & 255], 1)  # (colours, 3)
    distance = ((values[:, None] - np.array(COLOURS)) ** 2).sum(2)  # (colours, classes)
    classes, off = distance.argmin(1).astype(np.uint8), distance.min(1) > 0
    number = number.reshape(packed.shape)
    return classes[number], off[number]


def drawn_patches(labelled: Sequence[str], total: int) -> set[str]:
    """The labelled_test patches of own tiles: a tenth of all, 855 of 8,550.

    IIC's draw has no seed and its names are its archive's own, so this one is ours, and the same
    everywhere: the patches whose sha256 of ``{TEST_SEED}/{name}`` are the smallest.
    """
    order = sorted(labelled, key=lambda n: hashlib.sha256(f"{TEST_SEED}/{n}".encode()).digest())
    return set(order[: int(total * TEST_SHARE)])


def read_mat(path: Path, key: str, dtype: type, shape: tuple[int, ...]) -> Array:
    """One array of a MATLAB file of IIC's archive: (200, 200, *shape).

    Raises:
        BadFileError: unreadable, without the key, or of another type or size.
    """
    try:
        if not path.stat().st_size:
            raise BadFileError(path, "the file is empty (zero bytes)", "empty")
        array = loadmat(path)[key]
    except BadFileError:
        raise
    except KeyError as error:
        raise BadFileError(path, f"has no array {key!r}") from error
    # scipy's reader raises many things on broken files; all of them mean this.
    except Exception as error:
        raise BadFileError(path, f"cannot be read as a MATLAB file: {error}") from error
    if array.dtype != dtype:
        raise BadFileError(path, f"holds {array.dtype}, expected {np.dtype(dtype)}", "dtype")
    if array.shape[2:] != shape:
        raise BadFileError(path, f"is of {array.shape}, expected 200 x 200 x {shape}", "bands")
    if array.shape[:2] != (PATCH, PATCH):
        raise BadFileError(path, f"is of {array.shape}, expected 200 x 200", "size")
    return array


def find_tiles(source: str | Path) -> dict[str, tuple[Path, Path | None]]:
    """Tiles below a folder, by name: RGBIR file, and label file where the protocol has one.

    ISPRS published labels of all tiles later; IIC's protocol takes 24 of the 38 as labelled. The
    labels with eroded borders (``_noBoundary``) are not the protocol's and are left out.

    Raises:
        FileNotFoundError: if there is no tile.
    """
    images, labels = {}, {}
    for path in sorted(Path(source).rglob("*.tif")):
        image, label = _TILE.fullmatch(path.name), _LABEL.fullmatch(path.name)
        if image:
            images["_".join(image.groups()[:2])] = path
        elif label and not label[3]:
            labels["_".join(label.groups()[:2])] = path
    if not images:
        raise FileNotFoundError(f"{source}: no top_potsdam_*_RGBIR.tif below it")
    order = sorted(images, key=lambda name: [int(part) for part in name.split("_")])
    known = set(UNLABELLED_TILES)
    return {name: (images[name], None if name in known else labels.get(name)) for name in order}


def tile_size(path: Path) -> tuple[int, int]:
    """Height and width of a TIFF, from its header."""
    with open_tiff(path) as (page, _):
        return int(page.imagelength), int(page.imagewidth)


def is_archive(source: str | Path) -> bool:
    """Whether a folder is laid out like IIC's archive: ``imgs/*.mat``, ``gt/*.mat``, lists."""
    return (Path(source) / "imgs").is_dir()


def prepare_potsdam(
    source: str | Path,
    out: str | Path,
    workers: int = 1,
    progress: Progress | None = None,
    halve: bool = True,
) -> Cache:
    """Prepare Potsdam once for 6 and 3 classes.

    Args:
        source: a folder with ISPRS's tiles ``top_potsdam_*_RGBIR.tif`` and their
            ``*_label.tif``, at any depth; or IIC's archive (``imgs/``, ``gt/``, three lists).
        out: folder of the cache.
        workers: processes; each holds a tile, about 1 GB.
        progress: see :func:`sgseg.datasets.prepare.build.build`.
        halve: halve the tiles before they are cut, as IIC: 225 patches of a tile of 6000 x 6000
            pixels; else 900, of the other reading of "split into 200 x 200 patches".

    Raises:
        FileNotFoundError: if the folder holds neither.
        ValueError: for IIC's archive, whose patches are halved, with ``halve=False``.
        BadFileError, FileExistsError, OSError: see ``build``.
    """
    cache = build(plan_potsdam(source, halve), out, workers, progress)
    share = cache.manifest["off_palette"]["share"]
    if share > OFF_PALETTE_WARNING:
        print_log(
            f"{100 * share:.2f} % of the label pixels have a colour that is none of the six and "
            "took the nearest one: are these the label tiles of ISPRS?",
            logger="current",
            level=30,
        )
    return cache


def plan_potsdam(source: str | Path, halve: bool = True) -> Plan:
    """What :func:`prepare_potsdam` will write."""
    jobs: Sequence[Tile] | Sequence[MatPatches]
    making: dict[str, Any]
    if is_archive(source) and not halve:
        raise ValueError(
            f"{source}: IIC's archive holds patches of halved tiles; full-size patches are cut "
            "from ISPRS's tiles top_potsdam_*_RGBIR.tif"
        )
    if is_archive(source):
        jobs, split_of = _archive(Path(source))
        making = dict(source="IIC's archive")
    else:
        jobs, split_of = _tiles(source, halve)
        size = "halved" if halve else "full size"
        making = dict(source=f"ISPRS tiles, {size}", labelled_test_seed=TEST_SEED)
    counts = {split: split_of.count(number) for number, split in enumerate(SPLITS)}
    if counts != COUNTS:
        print_log(
            f"{source}: {counts} patches, the published numbers are on {COUNTS}. Numbers on this "
            "set cannot be compared with them.",
            logger="current",
            level=30,
        )
    return Plan(
        jobs=jobs,
        splits=SPLITS,
        split_of=split_of,
        lists_of=[0] * len(split_of),
        facts=dict(
            dataset="potsdam",
            bands=4,
            applied=[],
            labels="classes 0..5: " + ", ".join(CLASSES),
            lists={},
            protocol=dict(patch=PATCH, published=counts == COUNTS, **making),
        ),
    )


def _tiles(source: str | Path, halve: bool) -> tuple[list[Tile], list[int]]:
    jobs, factor = [], HALF if halve else 1.0
    for name, (image, label) in find_tiles(source).items():
        height, width = (int(side * factor) // PATCH for side in tile_size(image))
        if not height or not width:
            side = int(PATCH / factor)
            raise BadFileError(
                image, f"is smaller than one patch of {side} x {side} pixels", "size"
            )
        jobs.append(Tile(name, image, label, height, width, halve))
    missing = [job.name for job in jobs if job.label is None and job.name in LABELLED_TILES]
    if missing:
        print_log(
            f"{source}: no label file of the tiles {', '.join(missing)}; they are trained on and "
            "not scored",
            logger="current",
            level=30,
        )
    names = [(name, job.label is not None) for job in jobs for name in job.names()]
    test = drawn_patches([name for name, labelled in names if labelled], len(names))
    return jobs, [2 if name in test else int(labelled) for name, labelled in names]


def _archive(root: Path) -> tuple[list[MatPatches], list[int]]:
    lists = {split: root / f"{split}.txt" for split in SPLITS}
    missing = [str(path) for path in lists.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"IIC's archive without its lists: {', '.join(missing)}")
    items = [(name, n) for n, path in enumerate(lists.values()) for name in read_list(path)]
    on_disk = {path.stem for path in (root / "imgs").glob("*.mat")}
    gone = [name for name, _ in items if name not in on_disk]
    if gone:
        raise FileNotFoundError(f"{root / 'imgs'}: {gone[0]}.mat is listed and missing")
    starts = range(0, len(items), _PER_SHARD)
    ids = [name for name, _ in items]
    jobs = [MatPatches(root, ids[start : start + _PER_SHARD]) for start in starts]
    return jobs, [number for _, number in items]
