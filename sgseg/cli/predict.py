"""Segment an image or a folder: label maps, pictures, and what each class covers.

Example:
    sgseg predict work_dirs/run/epoch_12.pth my_photos --out maps
    sgseg predict --onnx model.onnx my_photos --out maps
"""

import argparse

from .arguments import UsageError, add_shared, config_and, config_arguments

PATHS = "[CONFIG] CHECKPOINT SOURCE, or SOURCE with --onnx; SOURCE is an image or a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg predict``."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help=PATHS)
    add("--onnx", metavar="FILE", help="model written by sgseg export")
    add("--out", default="predictions", help="output folder")
    add("--overwrite", action="store_true", help="remove another prediction in OUT")
    add_shared(parser, "--num-classes", "--bands", "--names", "--evaluation", "--value-range")
    add_shared(parser, "--preset", "--cfg-options")
    add("--side", type=int, help="shorter side to segment at; 0: as the image is")
    add("--tile", type=int, help="segment in windows of this size; 0: never")
    add("--overlap", type=int, help="of the windows; default an eighth")
    add("--batch-size", type=int, default=1, help="with --no-pictures")
    add("--no-pictures", action="store_true", help="write label maps only")
    add("--compile", action="store_true", help="fuse operations, torch.compile")
    add("--precision", choices=("float32", "bfloat16"), default="float32")
    add("--device", help="cpu or cuda; default a GPU if there is one")


def run(args: argparse.Namespace) -> None:
    """Segment, and print the shares of the classes."""
    from ..inference import Segmenter
    from ..inference.folder import segment_aloud

    overrides = config_arguments(args)
    options = dict(value_range=overrides.pop("value_range"))
    options |= dict(side=args.side, tile=args.tile, overlap=args.overlap, names=args.names)
    if args.onnx:
        if len(args.paths) != 1:
            raise UsageError(f"got {len(args.paths)} paths, wanted are {PATHS}")
        (source,) = args.paths
        segmenter = Segmenter.from_onnx(args.onnx, **options)
    else:
        config, checkpoint, source = config_and(args.paths, 2, PATHS)
        options |= dict(device=args.device, compile=args.compile, precision=args.precision)
        options |= dict(evaluation=args.evaluation, overrides=overrides)
        segmenter = Segmenter(checkpoint, config, **options)
    pictures = not args.no_pictures
    segment_aloud(segmenter, source, args.out, args.batch_size, pictures, args.overwrite)
