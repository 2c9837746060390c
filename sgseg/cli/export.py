"""Export a checkpoint to ONNX, compare with torch, and keep the file only if both agree.

Example:
    sgseg export work_dirs/run/epoch_12.pth model.onnx --check my_photos
"""

import argparse
from collections.abc import Sequence
from typing import Any

from .arguments import UsageError, add_shared, config_and, config_arguments, with_plain_warnings

PATHS = "[CONFIG] CHECKPOINT OUT: epoch_N.pth, and the file to write, model.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg export``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help=PATHS)
    add_shared(parser, "--num-classes", "--bands", "--names", "--preset", "--evaluation")
    add_shared(parser, "--cfg-options")
    parser.add_argument("--height", type=int, help="fix the height of images; default any")
    parser.add_argument("--width", type=int, help="fix the width of images; default any")
    parser.add_argument("--opset", type=int, help="ONNX opset; default the exporter's own")
    parser.add_argument("--check", metavar="FOLDER", help="compare on its images; else textures")
    parser.add_argument("--images", type=int, default=20, help="images to compare on")


@with_plain_warnings
def run(args: argparse.Namespace) -> None:
    """Export, and print how well both agree."""
    from ..datasets.folder import scan
    from ..inference import Segmenter
    from ..inference.export import export_onnx, sample_images

    config, checkpoint, out = config_and(args.paths, 2, PATHS)
    if (args.height is None) != (args.width is None):
        raise UsageError("--height and --width go together")
    size = None if args.height is None else (args.height, args.width)
    named = dict(names=args.names, evaluation=args.evaluation)
    overrides = config_arguments(args)
    segmenter = Segmenter(checkpoint, config, device="cpu", overrides=overrides, **named)
    images: Sequence[Any] = (
        scan(args.check).paths[: args.images]
        if args.check
        else sample_images(segmenter.bands, args.images)
    )
    print(f"{out}: {export_onnx(segmenter, out, images, size, args.opset)}")
