"""Images per second from JPEG files and from a prepared cache, and memory over an epoch.

All ways give COCO-Stuff's training crops through torch's data loader, batch after batch, in turn,
so that their ratios hold on the machine they were measured on. Files are in the page cache: a disk
that is slower than this makes the difference larger for JPEG and cache alike.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from sgseg.cost.result import Result, Row
from sgseg.datasets import COCOStuff15, Draw
from sgseg.datasets.base import SegDataset
from sgseg.datasets.coco_stuff import COCOTree
from sgseg.datasets.prepare import prepare_coco_stuff

FACTOR, CROP, BATCH = 0.33, 128, 64
_WARM, _ENDLESS = 4, 10**9
PIPELINE = [
    dict(type="Rescale", factor=FACTOR, interpolation="bilinear"),
    dict(type="CropTo", size=CROP, random=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py data``."""
    parser.add_argument("source", help="COCO-Stuff as it comes; its images are copied")
    parser.add_argument("--images", type=int, default=2000, help="copies to measure on")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the loader")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the median counts")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--epoch", type=int, default=50000, help="items of the memory test")


def run(args: Namespace) -> Result:
    """Measure; everything is written below a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        tree, cache = Path(folder, "tree"), Path(folder, "cache")
        paths = replicate(args.source, tree, args.images)
        started = time.perf_counter()
        prepare_coco_stuff(tree, cache, splits=["train2017"], all_images=True)
        prepared = args.images / (time.perf_counter() - started)
        options: dict[str, Any] = dict(splits=["train2017"], transforms=PIPELINE)
        cached = COCOStuff15(str(cache), **options)
        ways: dict[str, Dataset[Any]] = {
            "cv2.imread + cv2.resize, image alone": JPEGFiles(paths, plain),
            "the same, decoded at half size": JPEGFiles(paths, halved),
            "sgseg, files": COCOStuff15(str(tree), **options),
            "sgseg, prepared cache": cached,
        }
        speeds = measure(ways, args.workers, args.repeats, args.seconds)
        growth = memory_growth(cached, args.workers, args.epoch)
        cost = decoding_cost(paths[:50])
    files = speeds["sgseg, files"]
    return Result(
        f"COCO-Stuff training crops, {args.images} images, {args.workers} worker(s)",
        [
            Row(name, {"images/s": speed, "x files": speed / files})
            for name, speed in speeds.items()
        ],
        dict(
            **{"preparing, images/s on one core": prepared},
            **cost,
            **{f"memory growth over {args.epoch} items, MiB": growth},
        ),
    )


def replicate(source: str | Path, tree: Path, images: int) -> list[Path]:
    """A COCO-Stuff tree of ``images`` copies of a source's images; gives their paths."""
    origin = COCOTree(source)
    found = [
        (origin.images(split) / f"{name}.jpg", origin.labels(split) / f"{name}.png")
        for split in ("train2017", "val2017")
        if (Path(source) / "images" / split).is_dir()
        for name in origin.ids(split)
    ]
    folders = tree / "images" / "train2017", tree / "annotations" / "train2017"
    for folder in folders:
        folder.mkdir(parents=True)
    paths = []
    for number in range(images):
        for path, folder in zip(found[number % len(found)], folders, strict=True):
            shutil.copyfile(path, folder / f"{number:012d}{path.suffix}")
        paths.append(folders[0] / f"{number:012d}.jpg")
    return paths


def plain(path: str) -> np.ndarray:
    """What most code does: decode, then scale."""
    import cv2

    image: Any = cv2.imread(path)
    return cv2.resize(image, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_LINEAR)


def halved(path: str) -> np.ndarray:
    """Let the JPEG decoder give half the size, which costs it less, and scale the rest."""
    import cv2

    image: Any = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)
    factor = 2 * FACTOR
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


class JPEGFiles(Dataset[dict[str, Any]]):
    """Image files without labels, checks or seeds, as a measure of what is possible."""

    def __init__(self, paths: Sequence[Path], read: Callable[[str], np.ndarray]) -> None:
        self.paths = [str(path) for path in paths]
        self.read = read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        image = self.read(self.paths[draw.index])[:CROP, :CROP]
        padded = np.zeros((CROP, CROP, 3), np.uint8)
        padded[: image.shape[0], : image.shape[1]] = image
        inputs = torch.from_numpy(padded.transpose(2, 0, 1).copy())
        return dict(inputs=inputs, index=draw.index)


class Draws(Sampler[Draw]):
    """``count`` draws over ``size`` items, in an order that no read-ahead can guess."""

    def __init__(self, size: int, count: int) -> None:
        self.size, self.count = size, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng(0)
        for start in range(0, self.count, self.size):
            for index in rng.permutation(self.size)[: self.count - start]:
                yield Draw(int(index), start // self.size)


def _loader(dataset: Dataset[Any], count: int, workers: int) -> DataLoader[Any]:
    sampler = Draws(len(dataset), count)  # type: ignore[arg-type]
    return DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers)


def measure(
    ways: dict[str, Dataset[Any]], workers: int, repeats: int, seconds: float
) -> dict[str, float]:
    """Images per second of each way: median over ``repeats``, the ways in turn."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, dataset in ways.items():
            batches = iter(_loader(dataset, _ENDLESS, workers))
            for _ in range(_WARM):  # the worker starts, and its head start is used up
                next(batches)
            started, seen = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                seen += len(next(batches)["inputs"])
            speeds[name].append(seen / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in speeds.items()}


def memory_growth(dataset: SegDataset, workers: int, items: int) -> float:
    """MiB by which loader and workers grow between a tenth of an epoch and its end."""
    loader = _loader(dataset, items, workers)
    batches = iter(loader)
    pids = ["self", *(str(worker.pid) for worker in getattr(batches, "_workers", []))]
    early, last = 0, 0
    for number, _ in enumerate(batches):
        if number == len(loader) // 10:
            early = _resident(pids)
        if number == len(loader) - 1 - 2 * max(workers, 1):  # before the workers go
            last = _resident(pids)
    return (last - early) / 2**20


def _resident(pids: Sequence[str]) -> int:
    """Resident bytes of processes, shared pages counted in each."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096


def decoding_cost(paths: Sequence[Path]) -> dict[str, float]:
    """What decoding at half size costs: difference to full decoding, in grey levels of 255."""
    differences = []
    for path in paths:
        full, half = plain(str(path)), halved(str(path))
        height, width = (min(a, b) for a, b in zip(full.shape[:2], half.shape[:2], strict=True))
        difference = full[:height, :width].astype(int) - half[:height, :width]
        differences.append(np.abs(difference).ravel())
    found = np.concatenate(differences)
    return {
        "half-size decoding, mean difference in grey levels": float(found.mean()),
        "half-size decoding, 99th percentile": float(np.percentile(found, 99)),
        "half-size decoding, largest": float(found.max()),
    }
