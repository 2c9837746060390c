"""Segment an image or a folder: label maps, overlays, and what each class covers.

Called again with the same arguments it does only what is missing.

Example:
    sgseg predict work_dirs/run/epoch_12.pth my_photos --out maps
    sgseg predict work_dirs/run/epoch_12.pth tiles --out maps --polygons maps.gpkg
    sgseg predict work_dirs/run/epoch_12.pth s3://bucket/tiles --out maps --engine ray
    sgseg predict --onnx model.onnx my_photos --out maps
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import UsageError, add_shared, config_and, config_arguments, with_plain_warnings

if TYPE_CHECKING:
    from ..inference import Segmenter
    from ..inference.batches import Engine

PATHS = (
    "[CONFIG] CHECKPOINT SOURCE, or SOURCE with --onnx; CHECKPOINT is a file or a run's folder, "
    "SOURCE an image, a folder, LIST.txt with a path a line, or a URI (s3://bucket/tiles)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg predict``."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help=PATHS)
    add("--onnx", metavar="FILE", help="model written by sgseg export")
    add("--out", default="predictions", help="output folder")
    add("--overwrite", action="store_true", help="remove a prediction by other arguments in OUT")
    add("--polygons", metavar="FILE", help="write polygons too: FILE.gpkg or FILE.geojson")
    add("--simplify", type=float, default=0.0, metavar="PIXELS", help="straighten their borders")
    area = "join smaller ones to a neighbour: square metres, or pixels without a scale"
    add("--smallest-area", type=float, default=0.0, metavar="AREA", help=area)
    kinds = ("coco", "labelme", "cvat")
    add("--annotations", nargs="+", default=[], choices=kinds, help="to go on by hand")
    add("--opacity", type=float, default=0.5, help="of the colours of overlays, 0 to 1")
    add("--palette", metavar="FILE", help='colours of your own: {"water": "#4363d8"}')
    add("--no-pictures", action="store_true", help="neither overlays nor pictures")
    add("--inside", action="store_true", help="superpixels and node features in pictures")
    add_shared(parser, "--num-classes", "--bands", "--names", "--evaluation", "--value-range")
    add_shared(parser, "--preset", "--cfg-options")
    add("--side", type=int, help="shorter side to segment at; 0: as the image is")
    add("--scale", type=float, help="instead: part of the image's own size to segment at")
    add("--tile", type=int, help="segment in windows of this size; 0: never")
    add("--overlap", type=int, help="of the windows; default an eighth")
    add("--batch-size", type=int, default=8, help="images at once; default 8")
    add("--compile", action="store_true", help="fuse operations, torch.compile")
    add("--precision", choices=("float32", "bfloat16"), default="float32")
    add("--device", help="cpu or cuda; default a GPU if there is one")
    add("--engine", choices=("ray",), help="many workers: of this machine, or of a Ray cluster")
    add("--workers", type=int, help="of the engine; default one a GPU, or a core")
    add("--address", help="of a Ray cluster, host:port or auto; default this machine")
    add("--gpus-per-worker", type=float, help="a part of one shares it; default 1 if there are any")


@with_plain_warnings
def run(args: argparse.Namespace) -> None:
    """Segment what is missing, and print what the classes cover."""
    from ..inference import Segmenter
    from ..inference.annotations import demand_tools
    from ..inference.console import predict_aloud, trace_of
    from ..inference.folder import Prediction
    from ..inference.outputs import Look

    if args.names and not Path(args.names).is_file():
        raise UsageError(
            f"--names {args.names}: no such file; sgseg name writes it, or write it by hand: "
            '{"0": "sky", "1": "grass"}'
        )
    trace = trace_of(args.polygons, args.simplify, args.smallest_area)
    demand_tools(args.annotations)
    overrides = config_arguments(args)
    options = dict(value_range=overrides.pop("value_range"), palette=args.palette)
    options |= dict(side=args.side, scale=args.scale, tile=args.tile, overlap=args.overlap)
    options |= dict(names=args.names)
    if args.onnx:
        if len(args.paths) != 1:
            raise UsageError(f"got {len(args.paths)} paths, wanted are {PATHS}")
        (source,) = args.paths
        opening = partial(Segmenter.from_onnx, args.onnx)
    else:
        config, checkpoint, source = config_and(args.paths, 2, PATHS)
        options |= dict(device=args.device, compile=args.compile, precision=args.precision)
        options |= dict(evaluation=args.evaluation, overrides=overrides)
        opening = partial(Segmenter, checkpoint, config)
    look = Look(args.opacity, not args.no_pictures, args.inside)
    engine = _engine(args, opening, options)
    if args.engine and not args.onnx:
        options["device"] = "cpu"  # this process asks it for classes and sizes alone
    segmenter = opening(**options)
    where: dict[str, Any] = dict(engine=engine, parquet=args.engine is not None)
    done = Prediction(segmenter, source, args.out, args.batch_size, look, args.overwrite, **where)
    predict_aloud(done, trace, args.annotations)


def _engine(args: argparse.Namespace, opening: "partial[Segmenter]", options: Any) -> "Engine":
    """Where batches are segmented; workers open the same model, by absolute paths."""
    from ..inference.batches import here

    if args.engine is None:
        for name in ("workers", "address", "gpus_per_worker"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} goes with --engine ray")
        return here
    from ..inference.ray_engine import RayEngine

    given = [_absolute(value) for value in opening.args]
    named = {key: _absolute(options.get(key)) for key in ("names", "palette", "evaluation")}
    theirs = partial(opening.func, *given, **options | {k: v for k, v in named.items() if v})
    print("Starting Ray and its workers, which takes half a minute or more", file=sys.stderr)
    return RayEngine(theirs, args.workers, args.address, args.gpus_per_worker)


def _absolute(value: Any) -> Any:
    """The absolute path of what is one here; anything else as it is."""
    named = isinstance(value, (str, Path)) and Path(value).exists()
    return os.path.abspath(value) if named else value
