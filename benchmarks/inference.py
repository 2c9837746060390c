"""Seconds an image and memory of every way to get labels, and how far the labels agree.

All ways run in turn on the same images, so that their ratios hold on the machine they were measured
on. ``--tile-test`` segments one large synthetic TIFF in a process of its own and reads that
process's largest resident memory.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from sgseg.cost import measure
from sgseg.cost.result import Goal, Result, Row
from sgseg.datasets import TextureMosaic
from sgseg.datasets.folder import scan
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks.memory import process_peak_mib
from sgseg.inference import Segmenter
from sgseg.inference.export import export_onnx, sample_images
from sgseg.inference.tiling import to_unit
from sgseg.io.images import read_image
from sgseg.io.rows import open_rows
from sgseg.registry import MODELS
from sgseg.training import build_config

Probability = Callable[[Tensor], Tensor]
CONFIGS = Path(__file__).parents[1] / "configs" / "sgseg"
CONFIG = CONFIGS / "sgseg_diffgcn_folder.py"
TILE_CONFIG = CONFIGS / "sgseg_diffgcn_potsdam.py"
GROWTH = "large image, growth of the process, MiB"
WAYS = ("inference mode", "prepared", "prepared, bfloat16", "prepared, compiled", "ONNX Runtime")


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py inference``."""
    parser.add_argument("config", nargs="?", default=str(CONFIG), help="config of the model")
    parser.add_argument("--preset", help="size of the model; default the config's own")
    parser.add_argument("--checkpoint", help="trained weights; default fresh ones")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--images", help="folder to compare labels on; default textures")
    parser.add_argument("--count", type=int, default=24, help="images to compare labels on")
    parser.add_argument("--size", type=int, default=96, help="side of the images, cropped")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the median counts")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument(
        "--tile-test", type=int, default=6000, metavar="SIZE", help="side of a large image; 0: none"
    )
    parser.add_argument("--tile", type=int, help="side of its windows")
    parser.add_argument("--tile-config", default=str(TILE_CONFIG), help="config to segment it with")
    parser.add_argument("--tile-preset", default="tiny", help="size of that model")


def run(args: Namespace) -> Result:
    """Measure; what is exported and written lies below a temporary folder."""
    rows: list[Row] = []
    figures: dict[str, float | str] = {}
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory() as folder:
        if args.ways:
            rows, goals = _compare_ways(args, Path(folder))
        if args.tile_test:
            config = build_config(args.tile_config, preset=args.tile_preset)
            recipe, checkpoint = Path(folder, "config.py"), fresh(config, Path(folder))
            config.dump(recipe)
            figures = tile_test(recipe, checkpoint, Path(folder), args.tile_test, args.tile)
            goals.append(Goal(GROWTH, float(figures[GROWTH]), "<=", 4096.0))
    title = f"Inference of {Path(args.config).stem} at {args.size} pixels"
    return Result(title, rows, figures, goals)


def _compare_ways(args: Namespace, folder: Path) -> tuple[list[Row], list[Goal]]:
    config = build_config(args.config, num_classes=args.num_classes, preset=args.preset)
    checkpoint = Path(args.checkpoint or fresh(config, folder))
    ways = build_ways(config, checkpoint, folder, args.ways)
    bands = config.model.data_preprocessor.get("bands", 3)
    images = test_images(args.images, bands, args.count, args.size)
    agreement = compare(ways, images)
    rows = [
        row
        for batch in args.batches
        for row in measured(ways, images[:batch], args.repeats, agreement)
    ]
    exact = [name for name in ways if name not in ("plain", "prepared, bfloat16")]
    goals = [
        Goal(f"{name}, labels equal, %", agreement[name]["labels equal, %"], ">=", 99.99)
        for name in exact
    ]
    return rows, goals


def fresh(config: Config, folder: Path) -> Path:
    """A checkpoint of untrained weights: the cost is that of trained ones."""
    torch.manual_seed(0)
    path = folder / "fresh.pth"
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), path)
    return path


def plain(model: nn.Module, images: Tensor) -> Tensor:
    """Mean probability over the model's orders, (B, K, H, W), as one writes it first.

    Each order runs the whole head with its reconstruction, the superpixels and all features live
    to the end, batch normalisation is a step of its own, and autograd keeps what it would need.
    """
    state = model.describe(model.data_preprocessor.normalise(images))
    x = model.head_input(state)
    readings = [model.decode_head(x, order).probability for order in model.predict_orders]
    return torch.stack(readings).mean(0)


def build_ways(
    config: Config, checkpoint: Path, folder: Path, wanted: list[str]
) -> dict[str, Probability]:
    """Images in [0, 1] to probabilities, by name; the first is the plain way."""
    model = MODELS.build(config.model).eval()
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    segmenter = Segmenter(checkpoint, config, device="cpu", side=0)
    ways: dict[str, Probability] = {"plain": lambda images: plain(model, images)}
    if "inference mode" in wanted:
        ways["inference mode"] = torch.inference_mode()(lambda images: plain(model, images))
    if "prepared" in wanted:
        ways["prepared"] = segmenter.network
    if "prepared, bfloat16" in wanted:
        half = Segmenter(checkpoint, config, device="cpu", precision="bfloat16")
        ways["prepared, bfloat16"] = half.network
    if "prepared, compiled" in wanted:
        compiled = Segmenter(checkpoint, config, device="cpu", compile=True)
        ways["prepared, compiled"] = compiled.network
    if "ONNX Runtime" in wanted:
        path = folder / "model.onnx"
        export_onnx(segmenter, path, sample_images(segmenter.bands))
        ways["ONNX Runtime"] = Segmenter.from_onnx(path).network
    return ways


def test_images(folder: str | None, bands: int, count: int, size: int) -> Tensor:
    """(count, bands, size, size) in [0, 1]: centres of a folder's images, or textures."""
    if folder is None:
        found = textures(bands, count, size)
    else:
        found = [read_image(path, bands) for path in islice(scan(folder).paths, count)]
    crops = []
    for image in found:
        top, left = ((n - size) // 2 for n in image.shape[:2])
        crops.append(to_unit(image[max(top, 0) :, max(left, 0) :][:size, :size]))
    return torch.stack(crops)


def textures(bands: int, count: int, size: int) -> list[np.ndarray]:
    """Mosaics of real textures as bytes, (size, size, bands) each."""
    mosaics = TextureMosaic(length=count, size=size, bands=bands)
    return [mosaics.load(index)["img"] for index in range(count)]


def compare(ways: dict[str, Probability], images: Tensor) -> dict[str, dict[str, float]]:
    """Labels and probabilities of each way against the plain one, image by image."""
    found = {
        name: torch.cat([way(image[None]) for image in images]).detach()
        for name, way in ways.items()
    }
    expected = found["plain"]
    return {
        name: {
            "labels equal, %": 100 * float((p.argmax(1) == expected.argmax(1)).double().mean()),
            "max |dp|": float((p - expected).abs().max()),
        }
        for name, p in found.items()
    }


def measured(
    ways: dict[str, Probability],
    batch: Tensor,
    repeats: int,
    agreement: dict[str, dict[str, float]],
) -> list[Row]:
    """A row a way for one batch; memory is that of tensors torch makes, so not a runtime's."""
    calls = {name: (lambda way=way: way(batch)) for name, way in ways.items()}
    taken = measure.seconds(calls, repeats)
    rows = []
    for name, call in calls.items():
        values = {"s/image": taken[name] / len(batch), "x plain": taken["plain"] / taken[name]}
        if name not in ("prepared, compiled", "ONNX Runtime"):
            values["peak MB"] = measure.peak_bytes(call) / 1e6
        rows.append(Row(f"batch {len(batch)}, {name}", values | agreement[name]))
    return rows


def tile_test(
    recipe: Path, checkpoint: Path, folder: Path, size: int, tile: int | None
) -> dict[str, float | str]:
    """Segment a large tiled, deflated TIFF in a new process."""
    bands = Config.fromfile(str(recipe)).model.data_preprocessor.get("bands", 3)
    path = folder / "large.tif"
    write_large(path, size, bands)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(
            segment_large, str(recipe), str(checkpoint), str(path), tile, torch.get_num_threads()
        ).result()


def write_large(path: Path, size: int, bands: int) -> None:
    """Real textures laid side by side under light that changes over the whole image."""
    import tifffile

    patches = np.stack(textures(bands, 16, 128))
    rng = np.random.default_rng(0)
    side = -(-size // 128)
    grid = patches[rng.integers(0, len(patches), (side, side))]  # (n, n, 128, 128, C)
    image = grid.swapaxes(1, 2).reshape(side * 128, side * 128, bands)[:size, :size]
    light = np.linspace(0.5, 1, size, dtype=np.float32)[:, None, None]
    for row in range(0, size, 512):
        image[row : row + 512] = image[row : row + 512] * light[row : row + 512]
    tifffile.imwrite(
        path, image, photometric="rgb", planarconfig="contig", tile=(256, 256), compression="zlib"
    )


def segment_large(
    recipe: str, checkpoint: str, path: str, tile: int | None, threads: int
) -> dict[str, float | str]:
    """In the new process: labels of the file, the time, and by how much the process grew."""
    torch.set_num_threads(threads)
    segmenter = Segmenter(checkpoint, Config.fromfile(recipe), device="cpu", side=0, tile=tile)
    before = process_peak_mib()
    started, worked = time.perf_counter(), time.process_time()
    labels = segmenter.large(open_rows(path, segmenter.bands))
    taken, worked = time.perf_counter() - started, time.process_time() - worked
    return {
        "large image, pixels": "x".join(map(str, labels.shape)) + f", {segmenter.bands} bands",
        "large image, windows": f"{segmenter.tile or 512}, overlap {segmenter.overlap}",
        "large image, seconds": taken,
        "large image, seconds of all cores together": worked,
        "large image, threads": threads,
        "large image, resident before, MiB": before,
        GROWTH: process_peak_mib() - before,
    }
