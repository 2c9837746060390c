"""Maps of a folder by one worker of Ray and by two: images a second, start, memory of the driver.

The model is the practical recipe's with its first weights, on photographs of 128 x 128 pixels of
noise. For memory, 2,000 and 20,000 images of 8 x 8 go through two workers whose model gives one
class without looking, since the process that hands out the work holds what it holds of any image.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sgseg.cost.measure import MEBI
from sgseg.cost.result import Goal, Result, Row
from sgseg.inference import Prediction, Segmentation, Segmenter
from sgseg.inference.outputs import Look
from sgseg.inference.ray_engine import RayEngine
from sgseg.registry import MODELS
from sgseg.training import build_config

CONFIG = "sgseg_diffgcn_folder"


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py workers``."""
    parser.add_argument("--images", type=int, default=400, help="of the throughput")
    parser.add_argument("--workers", type=int, nargs=2, default=[1, 2], help="to compare")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the median counts")
    parser.add_argument("--many", type=int, nargs=2, default=[2000, 20000], help="of the memory")


class Blind(Segmenter):
    """Gives the first class to every pixel."""

    def together(self, images: Sequence[Any], *_: Any) -> list[Segmentation]:
        """Without a look at them."""
        rows = [self.open(image) for image in images]
        return [self.result(np.zeros(each.shape[:2], np.uint8), each) for each in rows]


def run(args: Namespace) -> Result:
    """Measure one and two workers in turn, then the two sizes of folders."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _untrained(Path(folder))
        images = _draw(Path(folder, "images"), args.images, 128)
        found: dict[int, list[tuple[float, float]]] = {count: [] for count in args.workers}
        for turn in range(args.repeats):
            for count in args.workers:
                out = Path(folder, f"out_{turn}_{count}")
                found[count].append(_timed(checkpoint, images, out, count))
        memory = {count: _driver(checkpoint, Path(folder), count) for count in args.many}
    median = {count: np.median(turns, axis=0).tolist() for count, turns in found.items()}
    rows = [
        Row(f"{count} workers", {"s to the first batch": start, "images a second": speed})
        for count, (start, speed) in median.items()
    ]
    rows += [Row(f"{n} images, two workers", {"driver, MiB": peak}) for n, peak in memory.items()]
    (one, two), (few, many) = args.workers, args.many
    ratio = float(np.median([b[1] / a[1] for a, b in zip(found[one], found[two], strict=True)]))
    grown = memory[many] - memory[few]
    goals = [
        Goal(f"{two} workers against {one}, images a second", ratio, ">=", 1.6),
        Goal(f"driver, {many} images, MiB more than {few}", grown, "<=", 100.0),
    ]
    return Result("Maps by workers of Ray on this machine", rows, {}, goals)


def _untrained(folder: Path) -> Path:
    torch.manual_seed(0)
    model = MODELS.build(build_config(CONFIG).model)
    torch.save(dict(state_dict=model.state_dict()), folder / "a.pth")
    return folder / "a.pth"


def _draw(folder: Path, count: int, side: int) -> Path:
    draw = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03}/{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), draw.integers(0, 256, (side, side, 3), np.uint8))
    return folder


def _predict(
    checkpoint: Path, images: Path, out: Path, workers: int, kind: type[Segmenter]
) -> list[float]:
    """Moments at which images were done, from the call on."""
    opening = partial(kind, checkpoint, CONFIG, device="cpu", side=0)
    engine = RayEngine(opening, workers)
    look = Look(pictures=False)
    prediction = Prediction(opening(), images, out, 8, look, engine=engine, parquet=True)
    began = time.perf_counter()
    return [time.perf_counter() - began for _ in prediction]


def _timed(checkpoint: Path, images: Path, out: Path, workers: int) -> tuple[float, float]:
    """Seconds to the first image, and images a second from then on."""
    moments = _predict(checkpoint, images, out, workers, Segmenter)
    return moments[0], (len(moments) - 1) / (moments[-1] - moments[0])


def _driver(checkpoint: Path, folder: Path, count: int) -> float:
    """The most MiB of a process of its own that hands out so many images."""
    images = _draw(folder / f"many_{count}", count, 8)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return float(pool.apply(_peak, (checkpoint, images, folder / f"out_{count}")))


def _peak(checkpoint: Path, images: Path, out: Path) -> float:
    _predict(checkpoint, images, out, 2, Blind)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBI
